"""Customers and orders in the admin."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse

from meats import people
from meats.models import Customer, Order, OrderItem

AT_ONCE = 50  # customers that one click exports or erases


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = (
        *("email", "name", "created_at"),
        *("confirmed_at", "subscribed_at", "unsubscribed_at"),
    )
    list_filter = ("confirmed_at", "subscribed_at", "unsubscribed_at")
    search_fields = ("email", "name")
    readonly_fields = ("created_at",)
    show_full_result_count = False  # counting everything takes longer than the page
    actions = ("export_customers", "erase_customers")

    @admin.action(description="Export all that is held of the selected customers")
    def export_customers(
        self, request: HttpRequest, customers: QuerySet[Customer]
    ) -> HttpResponse | None:
        """Answer with a file of JSON."""
        if len(customers) > AT_ONCE:
            self.refuse(request, customers)
            return None
        response = JsonResponse([people.export(customer) for customer in customers], safe=False)
        response["Content-Disposition"] = 'attachment; filename="customers.json"'
        response["Cache-Control"] = "no-store"
        return response

    @admin.action(description="Erase the selected customers", permissions=["delete"])
    def erase_customers(
        self, request: HttpRequest, customers: QuerySet[Customer]
    ) -> HttpResponse | None:
        """Ask, and then leave nothing of them but what the books need."""
        if len(customers) > AT_ONCE:
            self.refuse(request, customers)
            return None
        if request.POST.get("post") == "yes":
            for customer in customers:
                people.erase(customer)
            self.message_user(request, f"{len(customers)} customers were erased.")
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": "Erase customers",
            "opts": self.opts,
            "customers": customers.annotate(order_count=Count("orders")),
            "checkbox_name": helpers.ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/meats/customer/erase.html", context)

    def refuse(self, request: HttpRequest, customers: QuerySet[Customer]) -> None:
        self.message_user(
            request,
            f"{len(customers)} customers are selected: choose at most {AT_ONCE}.",
            messages.ERROR,
        )

    def save_model(self, request: HttpRequest, obj: Customer, form: Any, change: bool) -> None:
        """Ask again where the address is another one, unless a person says that it is confirmed."""
        if "email" in form.changed_data and "confirmed_at" not in form.changed_data:
            obj.confirmed_at = obj.asked_at = None
        super().save_model(request, obj, form, change)


class OrderItemInline(admin.TabularInline):
    model = OrderItem
    extra = 0


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ("number", "customer", "meats", "flavor", "state", "price", "created_at")
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

    def has_add_permission(self, _request: HttpRequest, _obj: Order | None = None) -> bool:
        """Orders come from customers: one made here would start no task."""
        return False
