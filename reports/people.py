"""What the reports hold of a customer: part of an export, and removed with the customer.

The rows and their sums stay, for the runs add up to them; the documents go.
"""

from base64 import b64encode
from typing import Any

from django.db import transaction
from django.dispatch import receiver

from meats.models import Customer
from meats.people import erasing, exporting
from reports.models import CustomerReport
from reports.storage import report_storage

COLUMNS = ("period", "state", "state_since", "sent_at", "orders", "items", "total", "error", "file")


@receiver(exporting, dispatch_uid="reports.people")
def export_reports(customer: Customer, **_kwargs: Any) -> dict[str, Any]:
    """Return the customer's reports, with their documents."""
    rows = CustomerReport.objects.filter(customer=customer).order_by("period").values(*COLUMNS)
    return {"reports": [row | {"pdf_as_base64": read(row["file"])} for row in rows]}


def read(name: str) -> str | None:
    storage = report_storage()
    if not name or not storage.exists(name):
        return None
    with storage.open(name) as file:
        return b64encode(file.read()).decode()


@receiver(erasing, dispatch_uid="reports.people")
def erase_reports(customer: Customer, **_kwargs: Any) -> None:
    """Remove the customer's documents, and errors, which may name an address."""
    rows = CustomerReport.objects.filter(customer=customer)
    names = [name for name in rows.values_list("file", flat=True) if name]
    rows.update(file="", checksum="", error="")

    def delete() -> None:
        for name in names:
            report_storage().delete(name)

    transaction.on_commit(delete)
