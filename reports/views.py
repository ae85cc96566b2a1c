"""The staff's pages about runs and cleanups."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from reports.document.charts import recent_charts
from reports.forms import StartForm
from reports.models import Cleanup, CustomerReport, ReportRun
from reports.periods import Period
from reports.runs import control
from reports.runs.feeding import abandoned, deferred, is_stuck
from reports.runs.progress import Progress
from reports.tasks import feeder, nightly_cleanup

PER_PAGE = 50

type View = Callable[..., HttpResponseBase]


def staff_page(view: View) -> View:
    """Show the page to staff who may see runs; send others to the login."""
    allowed = permission_required("reports.view_reportrun", raise_exception=True)(view)
    return require_safe(never_cache(staff_member_required(allowed)))


def staff_action(view: View) -> View:
    """Let staff who may change runs do something."""
    allowed = permission_required("reports.change_reportrun", raise_exception=True)(view)
    return require_POST(staff_member_required(allowed))


@staff_page
def index(request: HttpRequest) -> HttpResponse:
    """Show the runs, what to start next, and the charts."""
    period = Period.last_closed(timezone.now())
    return show_index(request, StartForm(initial={"period": str(period)}))


def show_index(
    request: HttpRequest, form: StartForm, status: int = HTTPStatus.OK, **context: Any
) -> HttpResponse:
    latest = list(ReportRun.objects.all()[:24])
    context |= {
        "form": form,
        "runs": list(zip(latest, Progress.of_all(latest), strict=True)),
        "charts": recent_charts(timezone.now()),
        "cleanup": Cleanup.objects.first(),
        "is_live": any(run.is_active for run in latest),
    }
    return render(request, "reports/index.html", context, status=status)


@staff_action
def start(request: HttpRequest) -> HttpResponse:
    """Start the run of a period; ask first where there is one already."""
    form = StartForm(request.POST)
    if not form.is_valid():
        return show_index(request, form, HTTPStatus.BAD_REQUEST)
    period = form.cleaned_data["period"]
    existing = ReportRun.objects.filter(period=str(period)).first()
    if existing and not form.cleaned_data["confirmed"]:
        again = StartForm(initial={"period": str(period), "confirmed": True})
        return show_index(request, again, repeated=existing)
    control.start(period, feeder)
    messages.success(request, f"The reports of {period.label} are being made.")
    return redirect("reports:run", str(period))


@staff_page
def show_run(request: HttpRequest, period: str) -> HttpResponse:
    """Show how far a run is, what failed, and its reports."""
    run = get_object_or_404(ReportRun, period=period)
    search = request.GET.get("q", "").strip()
    reports = run.reports.select_related("customer").order_by("pk")
    amiss = reports.filter(state__in=CustomerReport.AMISS)
    if search:
        reports = reports.filter(customer__email__icontains=search)
    return render(
        request,
        "reports/run.html",
        {
            "run": run,
            "progress": Progress.of(run),
            "failures": Paginator(amiss, PER_PAGE).get_page(request.GET.get("failures")),
            "reports": Paginator(reports, PER_PAGE).get_page(request.GET.get("page")),
            "search": search,
            "abandoned": len(abandoned(run)) if run.is_active else 0,
            "is_stuck": is_stuck(run),
            "deferred": deferred(run),
            "is_live": run.is_active,
        },
    )


@staff_page
def run_progress(_request: HttpRequest, period: str) -> HttpResponse:
    """Tell the page's script how far a run is."""
    run = get_object_or_404(ReportRun, period=period)
    return JsonResponse(Progress.of(run).as_json() | {"active": run.is_active})


@staff_action
def retry(request: HttpRequest, period: str) -> HttpResponse:
    """Make the failed reports of a run again."""
    run = get_object_or_404(ReportRun, period=period)
    count = control.retry(run, feeder)
    messages.success(request, f"{count:,} failed reports are being made again.")
    return redirect("reports:run", period)


@staff_action
def settle(request: HttpRequest, pk: int) -> HttpResponse:
    """Say whether a mail arrived of which nobody knows."""
    report = get_object_or_404(CustomerReport.objects.select_related("run", "customer"), pk=pk)
    arrived = request.POST.get("arrived") == "yes"
    if control.settle(report, feeder, arrived=arrived):
        what = "counts as mailed" if arrived else "is being mailed again"
        messages.success(request, f"The report of {report.customer.email} {what}.")
    return redirect("reports:run", report.period)


@staff_action
def remake(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a report anew, with a mail or without."""
    report = get_object_or_404(CustomerReport.objects.select_related("run", "customer"), pk=pk)
    mail = request.POST.get("mail") == "yes"
    if control.remake(report.run, feeder, [report.pk], mail=mail):
        how = "is made anew and mailed" if mail else "is made anew, without a mail"
        messages.success(request, f"The report of {report.customer.email} {how}.")
    else:
        messages.error(
            request,
            f"The report of {report.customer.email} is under way, or nobody knows yet whether it"
            " arrived: nothing was begun.",
        )
    return redirect(
        f"{reverse('reports:customer', args=[report.customer_id])}?period={report.period}"
    )


@staff_page
def cleanups(request: HttpRequest) -> HttpResponse:
    """Show what the cleanups removed."""
    return render(
        request,
        "reports/cleanups.html",
        {"cleanups": Paginator(Cleanup.objects.all(), 31).get_page(request.GET.get("page"))},
    )


@staff_action
def clean_up(request: HttpRequest) -> HttpResponse:
    """Have a cleanup done now, or only counted."""
    dry_run = request.POST.get("dry_run") == "yes"
    nightly_cleanup.enqueue(dry_run=dry_run)
    messages.success(request, "A dry run has begun." if dry_run else "A cleanup has begun.")
    return redirect("reports:cleanups")
