"""Customers and orders in the admin."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from meats import people
from meats.adjusting import signed_amount
from meats.models import Adjustment, Customer, Order, OrderItem
from meats.money import money

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


class ShownInline(admin.TabularInline):  # type: ignore[type-arg]
    """Rows to look at: money that is edited here would change months that are closed."""

    extra = 0
    can_delete = False

    def has_add_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False


class OrderItemInline(ShownInline):
    model = OrderItem


class AdjustmentInline(ShownInline):
    model = Adjustment
    fields = ("kind", "amount", "reason", "created_at", "made_by")
    readonly_fields = ("created_at", "made_by")


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ("number", "customer", "meats", "flavor", "state", "total", "created_at")
    list_filter = ("state", "created_at")
    list_select_related = ("customer",)
    search_fields = ("uuid", "customer__email", "customer__name", "flavor")
    date_hierarchy = "created_at"
    autocomplete_fields = ("customer",)
    readonly_fields = ("uuid", "price", "created_at", "task_ids")
    inlines = (OrderItemInline, AdjustmentInline)
    actions = ("refund_or_correct",)
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

    @admin.action(description="Refund or correct the selected order", permissions=["adjust"])
    def refund_or_correct(
        self, request: HttpRequest, orders: QuerySet[Order]
    ) -> HttpResponse | None:
        """Lead to the form for it."""
        if len(orders) != 1:
            self.message_user(
                request,
                f"{len(orders)} orders are selected: choose the one to refund or correct.",
                messages.ERROR,
            )
            return None
        return redirect(f"{reverse('admin:meats_adjustment_add')}?order={orders[0].pk}")

    def has_adjust_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("meats.add_adjustment")


class AdjustmentForm(forms.ModelForm):  # type: ignore[type-arg]
    """What is given back or charged, refused beyond what was paid."""

    class Meta:
        model = Adjustment
        fields = ("order", "kind", "amount", "reason")
        help_texts = {  # noqa: RUF012 - as Django's own
            "amount": "Of a refund: what is given back. Of a correction: what is charged in"
            " addition, or below zero what is charged less.",
            "reason": "The customer's report shows it, and so does the order's page: name nobody.",
        }

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if {"order", "kind", "amount"} <= data.keys():
            # The admin's transaction keeps the order locked until the row is there.
            data["amount"] = signed_amount(data["order"], data["kind"], data["amount"])
        return data


@admin.register(Adjustment)
class AdjustmentAdmin(admin.ModelAdmin):
    """Adjustments are made and stay: what is wrong is corrected by another one."""

    form = AdjustmentForm
    list_display = ("order", "kind", "amount", "reason", "created_at", "made_by")
    list_filter = ("kind", "created_at")
    list_select_related = ("order", "made_by")
    search_fields = ("order__uuid", "order__customer__email", "reason")
    autocomplete_fields = ("order",)
    show_full_result_count = False  # counting everything takes longer than the page

    def save_model(self, request: HttpRequest, obj: Adjustment, form: Any, change: bool) -> None:
        obj.made_by_id = request.user.pk
        super().save_model(request, obj, form, change)

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False
