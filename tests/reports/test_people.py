"""A customer's data: exported, erased, and forgotten when it is old."""

import json
from base64 import b64decode
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.db.models import Sum
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from hybrid_tasks.models import OutboxTask
from meats import people, receipts
from meats.models import Adjustment, Customer, Order, OrderItem
from reports.cleanup import nightly
from reports.models import CustomerReport, ReportRun
from reports.storage import report_storage
from tests.reports.orders import add_customer, add_order

SECRET = "the leg of uncle bob"
ADDRESS = "ada.ash@shop.example"


@pytest.fixture
def ada(db: None, settings: Settings, tmp_path: Path) -> Customer:
    """A customer of whom there is something everywhere, beside somebody with a like address."""
    settings.RECEIPTS_DIR = tmp_path
    ada = add_customer("Ada Ash", subscribed_at=timezone.now())
    for meats in (["ribs", SECRET], ["tofu"]):
        receipts.write(add_order(ada, *meats, flavor=SECRET))
    run = ReportRun.objects.create(period="2026-10")
    report = CustomerReport.objects.create(
        run=run, customer=ada, period="2026-10", total=30, error=f"{ADDRESS} refused", orders=2
    )
    report.file.name = report_storage().save(f"2026-10/{ada.pk}.pdf", ContentFile(b"%PDF"))
    report.save()
    order = ada.orders.latest("pk")
    Adjustment.objects.create(order=order, amount=-5, reason="Ada Ash found it burnt.")
    for number, (path, content) in enumerate(
        {
            "meats.tasks.send_confirmation": {"args": [str(order.uuid)], "errors": []},
            "meats.tasks.send_welcome": {"args": [ada.pk, "signed"], "errors": []},
            "meats.tasks.ask_to_confirm": {"args": [ada.pk + 1], "errors": []},
            "reports.tasks.send_chunk": {"args": [1], "errors": [["E", f"<{ADDRESS}> no"]]},
            "reports.tasks.finish_run": {"args": [1], "errors": [["E", f"<x{ADDRESS}> no"]]},
        }.items()
    ):
        OutboxTask.objects.create(
            id=str(number),
            task_path=path,
            state=OutboxTask.State.DEAD,
            available_at=timezone.now(),
            message=json.dumps(content),
        )
    user = User.objects.create_user("staff")
    for row in (ada, order):
        LogEntry.objects.log_actions(user.pk, [row], CHANGE, "Looked.", single_object=True)
    other = add_customer("X", email=f"x{ADDRESS}")
    receipts.write(add_order(other, SECRET))
    return ada


def everything() -> str:
    """Return all that the tables and the folder of receipts hold of customers, as text."""
    models = (Customer, Order, OrderItem, Adjustment, CustomerReport, OutboxTask, LogEntry)
    rows = [str(list(model.objects.values())) for model in models]
    return "\n".join(rows)


def test_an_export_has_all_that_is_held(ada: Customer) -> None:
    out = StringIO()
    call_command("export_customer", "ADA.ash@shop.example", stdout=out)
    data = json.loads(out.getvalue())
    assert (data["customer"]["name"], data["customer"]["email"]) == ("Ada Ash", ADDRESS)
    first, second = data["orders"]
    assert [item["meat"] for item in first["items"]] == ["ribs", SECRET]
    assert (first["flavor"], first["price"]) == (SECRET, "20.00")
    assert SECRET in first["receipt"]
    assert second["items"][0]["price"] == "10.00"
    (refund,) = second["adjustments"]
    assert (refund["amount"], refund["reason"]) == ("-5.00", "Ada Ash found it burnt.")
    (report,) = data["reports"]
    assert (report["period"], report["total"]) == ("2026-10", "30.00")
    assert b64decode(report["pdf_as_base64"]) == b"%PDF"


def test_an_export_goes_to_a_file_and_names_who_is_unknown(ada: Customer, tmp_path: Path) -> None:
    call_command("export_customer", ADDRESS, "--output", str(tmp_path / "ada.json"))
    assert json.loads((tmp_path / "ada.json").read_text())["orders"]
    with pytest.raises(CommandError, match="no customer with the address eve@example"):
        call_command("export_customer", "eve@example")
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("export_customer", ADDRESS, "--output", str(tmp_path / "no" / "ada.json"))


def test_erasing_leaves_the_sums_and_nothing_of_the_person(
    ada: Customer,
    tmp_path: Path,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    sums = Order.objects.aggregate(Sum("price")), OrderItem.objects.aggregate(Sum("price"))
    uuids = set(ada.orders.values_list("uuid", flat=True))
    with django_capture_on_commit_callbacks(execute=True):
        call_command("erase_customer", ADDRESS, "--yes", stdout=StringIO())

    left = everything()
    for trace in ("Ada Ash", f"'{ADDRESS}", f"<{ADDRESS}", f" {ADDRESS}", *map(str, uuids)):
        assert trace not in left
    assert sums == (
        Order.objects.aggregate(Sum("price")),
        OrderItem.objects.aggregate(Sum("price")),
    )
    assert Adjustment.objects.get().amount == Decimal(-5)
    ada.refresh_from_db()
    assert (ada.email, ada.name) == (f"{ada.pk}@erased.invalid", "")
    assert not ada.is_subscribed
    assert [item.meat for order in ada.orders.all() for item in order.items.all()] == [
        *("something of their own", "ribs", "something of their own"),
    ]
    report = CustomerReport.objects.get()
    assert (report.total, report.orders, report.file.name) == (Decimal(30), 2, "")
    assert not report_storage().exists(f"2026-10/{ada.pk}.pdf")
    assert {path.stem for path in tmp_path.glob("*.txt")}.isdisjoint(map(str, uuids))
    # Others keep what is theirs.
    assert f"x{ADDRESS}" in left
    assert OrderItem.objects.filter(meat=SECRET).count() == 1
    assert len(list(tmp_path.glob("*.txt"))) == 1
    assert sorted(OutboxTask.objects.values_list("task_path", flat=True)) == [
        *("meats.tasks.ask_to_confirm", "reports.tasks.finish_run", "reports.tasks.send_chunk"),
    ]
    assert json.loads(OutboxTask.objects.get(task_path__endswith="chunk").message)["errors"] == [
        ["E", "<(erased)> no"]
    ]


def test_erasing_twice_does_no_harm(ada: Customer) -> None:
    out = StringIO()
    people.erase(ada)
    before = everything().count("erased.invalid")
    call_command("erase_customer", ADDRESS, "--yes", stdout=out)
    assert "nothing to erase" in out.getvalue()
    people.erase(ada)
    assert everything().count("erased.invalid") == before


@pytest.mark.parametrize(("answer", "is_erased"), [("yes", True), ("", False), ("no", False)])
def test_erasing_asks_first(
    answer: str, is_erased: bool, ada: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: answer)
    out = StringIO()
    if is_erased:
        call_command("erase_customer", ADDRESS, stdout=out)
    else:
        with pytest.raises(CommandError, match="Nothing was erased"):
            call_command("erase_customer", ADDRESS, stdout=out)
    assert f"This erases Ada Ash <{ADDRESS}>, of whom 2 orders are kept" in out.getvalue()
    assert Customer.objects.filter(email=ADDRESS).exists() == (not is_erased)


def test_erasing_without_anybody_to_ask_erases_nothing(
    ada: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)
    with pytest.raises(CommandError, match="add --yes"):
        call_command("erase_customer", ADDRESS, stdout=StringIO())


def test_a_receipt_that_cannot_be_removed_keeps_everything(
    ada: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("the disk is read-only")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(PermissionError):
        people.erase(ada)
    ada.refresh_from_db()
    assert ada.email == ADDRESS


def test_the_admin_exports_and_erases_after_a_question(ada: Customer, admin_client: Client) -> None:
    page = "/admin/meats/customer/"
    chosen = {"_selected_action": [ada.pk]}
    exported = admin_client.post(page, {"action": "export_customers", **chosen})
    assert exported["Content-Disposition"] == 'attachment; filename="customers.json"'
    assert exported.json()[0]["customer"]["email"] == ADDRESS

    asked = admin_client.post(page, {"action": "erase_customers", **chosen}).content.decode()
    assert f"Ada Ash &lt;{ADDRESS}&gt;: 2 orders" in asked
    assert Customer.objects.filter(email=ADDRESS).exists()

    sure = {"action": "erase_customers", "post": "yes", **chosen}
    done = admin_client.post(page, sure, follow=True)
    assert "1 customers were erased" in done.content.decode()
    assert not Customer.objects.filter(email=ADDRESS).exists()


def test_who_may_only_look_cannot_erase(ada: Customer, client: Client) -> None:
    user = User.objects.create_user("looker", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_customer"))
    client.force_login(user)
    form = {"action": "erase_customers", "post": "yes", "_selected_action": [ada.pk]}
    client.post("/admin/meats/customer/", form)
    assert Customer.objects.filter(email=ADDRESS).exists()


def test_old_orders_are_nobodys_and_who_has_no_others_is_erased(
    ada: Customer, settings: Settings
) -> None:
    settings.KEEP_ORDERS_DAYS = 1000
    ages = {"old": 1200, "new": 10}
    now = timezone.now()
    gone, stays = add_customer("Gone"), add_customer("Stays")
    loyal = add_customer("Loyal", subscribed_at=now)
    for customer, kind in ((gone, "old"), (stays, "old"), (stays, "new"), (loyal, "old")):
        order = add_order(customer, SECRET)
        Order.objects.filter(pk=order.pk).update(created_at=now - timedelta(days=ages[kind]))
    Customer.objects.update(created_at=now - timedelta(days=1300))
    total = Order.objects.aggregate(Sum("price"))

    assert nightly.old_orders(dry_run=True) == 4
    assert Customer.objects.filter(name="Gone").exists()
    assert nightly.old_orders(dry_run=False) == 4
    assert nightly.old_orders(dry_run=False) == 0
    assert not Customer.objects.filter(name="Gone").exists()
    assert {c.name: c.orders.count() for c in (stays, loyal)} == {"Stays": 1, "Loyal": 0}
    nobody = Customer.objects.get(email=people.NOBODY)
    assert nobody.orders.count() == 3
    assert not OrderItem.objects.filter(order__customer=nobody, meat=SECRET).exists()
    assert Order.objects.aggregate(Sum("price")) == total
    assert ada.orders.count() == 2
