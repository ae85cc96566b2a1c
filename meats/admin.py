"""Customers and orders in the admin."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from meats.models import Customer, Order, OrderItem
from meats.money import money


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ("email", "name", "created_at", "subscribed_at", "unsubscribed_at")
    list_filter = ("subscribed_at", "unsubscribed_at")
    search_fields = ("email", "name")
    readonly_fields = ("created_at",)
    show_full_result_count = False  # counting everything takes longer than the page


class OrderItemInline(admin.TabularInline):
    model = OrderItem
    extra = 0


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ("number", "customer", "meats", "flavor", "state", "total", "created_at")
    list_filter = ("state", "created_at")
    list_select_related = ("customer",)
    search_fields = ("uuid", "customer__email", "customer__name", "flavor")
    date_hierarchy = "created_at"
    autocomplete_fields = ("customer",)
    readonly_fields = ("uuid", "created_at", "task_ids")
    inlines = (OrderItemInline,)
    show_full_result_count = False  # counting everything takes longer than the page

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        return super().get_queryset(request).prefetch_related("items")

    @admin.display(description="meats")
    def meats(self, order: Order) -> str:
        return ", ".join(item.meat for item in order.items.all())

    @admin.display(description="price", ordering="price")
    def total(self, order: Order) -> str:
        return money(order.price)

    def has_add_permission(self, _request: HttpRequest, _obj: Order | None = None) -> bool:
        """Orders come from customers: one made here would start no task."""
        return False
