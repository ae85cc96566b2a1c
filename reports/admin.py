"""Runs and reports in the admin, to look at: what changes them is on the pages under /reports/."""

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from reports.models import CustomerReport, ReportRun


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Shows rows; a state changed by hand would send mails twice, or never."""

    show_full_result_count = False  # counting everything takes longer than the page

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(ReportRun)
class ReportRunAdmin(ReadOnlyAdmin):
    list_display = ("period", "state", "total", "done", "failed", "started", "finished")
    list_filter = ("state",)


@admin.register(CustomerReport)
class CustomerReportAdmin(ReadOnlyAdmin):
    list_display = ("customer", "period", "state", "orders", "total", "sent_at")
    list_filter = ("state", "period")
    list_select_related = ("customer",)
    search_fields = ("customer__email", "customer__name")
