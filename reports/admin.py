"""Runs and reports in the admin, to look at: what changes them is on the pages under /reports/."""

from collections import defaultdict

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from reports.models import CustomerReport, ReportRun
from reports.runs import control
from reports.tasks import feeder


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
    actions = ("remake_and_mail", "remake")

    @admin.action(description="Make selected reports anew and mail them", permissions=["remake"])
    def remake_and_mail(self, request: HttpRequest, reports: QuerySet[CustomerReport]) -> None:
        self.make_anew(request, reports, mail=True)

    @admin.action(description="Make selected reports anew, without a mail", permissions=["remake"])
    def remake(self, request: HttpRequest, reports: QuerySet[CustomerReport]) -> None:
        self.make_anew(request, reports, mail=False)

    def make_anew(
        self, request: HttpRequest, reports: QuerySet[CustomerReport], *, mail: bool
    ) -> None:
        chosen = defaultdict[int, list[int]](list)
        for key, run in reports.order_by("pk").values_list("pk", "run"):
            chosen[run].append(key)
        runs = ReportRun.objects.in_bulk(chosen)
        begun = sum(
            control.remake(runs[run], feeder, keys, mail=mail) for run, keys in chosen.items()
        )
        left = sum(map(len, chosen.values())) - begun
        self.message_user(request, f"{begun:,} reports are made anew.")
        if left:
            self.message_user(
                request,
                f"{left:,} are under way, or nobody knows yet whether they arrived.",
                messages.WARNING,
            )

    def has_remake_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("reports.change_reportrun")
