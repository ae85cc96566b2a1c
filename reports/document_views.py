"""The pages and files of single reports: for the staff, and for the customer."""

from datetime import timedelta
from http import HTTPStatus

from django.conf import settings
from django.core.signing import BadSignature, SignatureExpired
from django.db.models.fields.files import FieldFile
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.csp import CSP
from django.utils.http import content_disposition_header
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.csp import csp_override
from django.views.decorators.http import require_safe

from meats.models import Customer
from reports.models import CustomerReport, ReportRun
from reports.runs.mailer import link_signer
from reports.views import staff_page

# What a browser may do with a PDF: show it, also in a frame of ours.
PDF_POLICY = {
    "default-src": [CSP.NONE],
    "style-src": [CSP.UNSAFE_INLINE],  # of the browser's own viewer
    "frame-ancestors": [CSP.SELF],
}


@staff_page
def show_customer(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a customer's reports, and the PDF of one of them."""
    customer = get_object_or_404(Customer, pk=pk)
    reports = list(customer.reports.all())
    wanted = request.GET.get("period")
    shown = next((report for report in reports if report.period == wanted), None)
    return render(
        request,
        "reports/customer.html",
        {
            "customer": customer,
            "reports": reports,
            "shown": shown or next((report for report in reports if report.has_file), None),
        },
    )


@xframe_options_sameorigin
@csp_override(PDF_POLICY)
@staff_page
def report_file(_request: HttpRequest, pk: int) -> HttpResponseBase:
    """Send the PDF of a report."""
    report = get_object_or_404(CustomerReport, pk=pk)
    return pdf_response(report.file, f"smokehouse-{report.period}-{report.pk}.pdf")


@csp_override(PDF_POLICY)
@staff_page
def summary_file(_request: HttpRequest, period: str) -> HttpResponseBase:
    """Send the PDF of a run's summary."""
    run = get_object_or_404(ReportRun, period=period)
    return pdf_response(run.summary, f"summary-{run.period}.pdf")


@csp_override(PDF_POLICY)
@require_safe
@never_cache
def own_report(request: HttpRequest, signed: str) -> HttpResponseBase:
    """Send a customer the report of the link in the mail, as long as the link is good."""
    try:
        key = link_signer.unsign(signed, max_age=timedelta(days=settings.REPORT_LINK_DAYS))
    except SignatureExpired:
        return render(request, "reports/expired.html", status=HTTPStatus.GONE)
    except BadSignature:
        raise Http404("Not a link of ours.") from None
    report = get_object_or_404(CustomerReport, pk=key)
    response = pdf_response(report.file, f"smokehouse-{report.period}.pdf")
    response["X-Robots-Tag"] = "noindex"
    return response


def pdf_response(file: FieldFile, name: str) -> HttpResponse:
    """Return a PDF to be shown by the browser. Raises Http404 if there is no file.

    All of it at once: it is a page, and a file in pieces goes through a thread for each of them.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read()
    except (FileNotFoundError, ValueError):
        raise Http404("There is no file of this report.") from None
    headers = {"Content-Disposition": content_disposition_header(False, name) or "inline"}
    return HttpResponse(content, content_type="application/pdf", headers=headers)
