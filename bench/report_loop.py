"""The reports as one would write them first: one loop over the customers, in one process."""

import time

import django
import psutil

django.setup()

from django.core.mail import EmailMessage  # noqa: E402
from django.utils import timezone  # noqa: E402

from meats.models import Customer  # noqa: E402
from reports.document import pdf  # noqa: E402
from reports.document.builder import Line, build  # noqa: E402
from reports.periods import Period  # noqa: E402


def main() -> None:
    """Print customers a second and megabytes at most."""
    period = Period.last_closed(timezone.now())
    began, count, peak = time.perf_counter(), 0, 0.0
    process = psutil.Process()
    for customer in Customer.objects.all():
        orders = customer.orders.filter(
            created_at__gte=period.previous.begins, created_at__lt=period.ends
        )
        lines = [
            Line(order.number, order.created_at, order.flavor, order.price, item.meat, item.price)
            for order in orders
            for item in order.items.all()
        ]
        if not any(line.ordered_at >= period.begins for line in lines):
            continue
        document = pdf.render(build(customer.name, period, lines))
        message = EmailMessage(f"Your {period.label}", "It is attached.", to=[customer.email])
        message.attach("report.pdf", document, "application/pdf")
        message.send()
        count += 1
        if count % 50 == 0:
            peak = max(peak, process.memory_full_info().uss / 1e6)
    print(count / (time.perf_counter() - began), peak)


main()
