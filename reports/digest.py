"""The weekly mail to the staff."""

from datetime import timedelta

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import Count, Sum
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from hybrid_tasks.databases import release_connections
from hybrid_tasks.models import OutboxTask
from meats.models import Adjustment, Customer, Order
from meats.money import money
from reports.document.builder import NOTHING
from reports.models import Cleanup, CustomerReport, ReportRun
from reports.runs.finishing import staff_addresses

WEEK = timedelta(days=7)


def send() -> int:
    """Mail the staff the last seven days beside the seven before; return how many of them.

    Raises OSError.
    """
    to = staff_addresses()
    if to:
        now = timezone.now()
        text = render_to_string(
            "reports/mail/digest.txt",
            {
                "day": now,
                "week": sums_since(now - WEEK, now),
                "before": sums_since(now - 2 * WEEK, now - WEEK),
                "customers": Customer.objects.filter(created_at__gte=now - WEEK).count(),
                "runs": ReportRun.objects.filter(resumed__gte=now - WEEK),
                "amiss": CustomerReport.objects.filter(state__in=CustomerReport.AMISS).count(),
                "dead": OutboxTask.objects.dead().count(),
                "cleanup": Cleanup.objects.filter(dry_run=False).first(),
                "url": settings.SITE_URL + reverse("reports:index"),
            },
        )
        release_connections()  # the mail server may take its time
        EmailMessage(f"The smokehouse's week until {now:%-d %B %Y}", text, to=to).send()
    return len(to)


def sums_since(begins: object, ends: object) -> dict[str, object]:
    orders = Order.objects.filter(created_at__gte=begins, created_at__lt=ends).order_by()
    sums = orders.aggregate(orders=Count("pk"), revenue=Sum("price", default=NOTHING))
    adjustments = Adjustment.objects.filter(created_at__gte=begins, created_at__lt=ends).order_by()
    adjusted = adjustments.aggregate(sum=Sum("amount", default=NOTHING))["sum"]
    return {"orders": sums["orders"], "revenue": money(sums["revenue"] + adjusted)}
