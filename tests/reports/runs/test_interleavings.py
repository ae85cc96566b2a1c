"""What people do to a run while it adds up, in every order: nothing is lost, and it ends."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import permutations

import pytest
from django.core import mail
from pytest_django import Settings

from hybrid_tasks.testing import CapturedTasks, capture_tasks
from meats.models import Order
from reports.document import pdf
from reports.models import CustomerReport, ReportRun
from reports.runs import control, finishing
from reports.tasks import feeder, send_chunk
from tests.reports.orders import PERIOD, add_customers

pytestmark = pytest.mark.django_db(transaction=True)

State = CustomerReport.State
UNCLEAR, LATE, FAILED = 1, 2, (3, 4, 5)  # which of the customers


def retry() -> None:
    control.retry(ReportRun.objects.get(), feeder)


def start() -> None:
    control.start(PERIOD, feeder)


def settle() -> None:
    """Send the one again of whom nobody knows."""
    report = CustomerReport.objects.get(customer__name=f"Customer {UNCLEAR}")
    control.settle(report, feeder, arrived=False)


def close_chunk() -> None:
    """Deliver a chunk a second time, as a broker may."""
    chunk = ReportRun.objects.get().chunks.order_by("pk").first()
    assert chunk
    send_chunk.enqueue(chunk.pk)
    feeder.close_chunk(chunk.pk, 99, 99)


def one_customer() -> None:
    """Make the report of one who was not there when the run was started."""
    late = Order.objects.select_related("customer").get(customer__name=f"Customer {LATE}")
    Order.objects.filter(pk=late.pk).update(created_at=PERIOD.begins)
    control.start_customer(PERIOD, late.customer, feeder)


EVENTS: list[Callable[[], None]] = [retry, start, settle, close_chunk, one_customer]
PLACES = ("before", "first", "amid", "last", "after")  # of the task that adds up


def cases() -> Iterator[object]:
    """Yield up to three events in each order at each place, most of them as slow tests."""
    for count in (1, 2, 3):
        for events in permutations(EVENTS, count):
            for place in PLACES:
                name = "-".join([place, *(event.__name__ for event in events)])
                quick = count == 1 or (count == 2 and place == "last")
                marks = () if quick else (pytest.mark.slow_fault,)
                yield pytest.param(events, place, id=name, marks=marks)


@pytest.fixture
def tasks() -> Iterator[CapturedTasks]:
    with capture_tasks() as captured:
        yield captured


@pytest.fixture
def run(tasks: CapturedTasks, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> ReportRun:
    """A run that is about to add up; three reports have failed, and of one nobody knows."""
    monkeypatch.setattr(pdf, "render", lambda *_arguments: b"%PDF")  # takes most of the time
    customers = add_customers(8)
    Order.objects.filter(customer=customers[LATE]).update(created_at=PERIOD.ends)
    failed = Order.objects.filter(customer__in=[customers[number] for number in FAILED])
    failed.update(price=1)
    run = control.start(PERIOD, feeder)
    feeder.close_chunk(run.chunks.get().pk, *made_by_hand(run))
    failed.update(price=20)
    run.refresh_from_db()
    assert (run.state, run.done, run.failed) == ("finishing", 3, 4)
    # So that what is retried needs more chunks than are given at once.
    settings.REPORT_CHUNK = settings.REPORT_CHUNKS_AHEAD = 1
    return run


def made_by_hand(run: ReportRun) -> tuple[int, int]:
    from reports.runs.chunks import make_chunk

    done, failed = make_chunk(run.chunks.get(), lambda _done, _size: None)
    mail.outbox[:] = [one for one in mail.outbox if one.to != ["customer.1@shop.example"]]
    CustomerReport.objects.filter(customer__name=f"Customer {UNCLEAR}").update(state=State.UNKNOWN)
    return done - 1, failed + 1


@pytest.mark.parametrize(("events", "where"), list(cases()))
def test_whatever_is_done_while_it_adds_up(
    run: ReportRun,
    tasks: CapturedTasks,
    monkeypatch: pytest.MonkeyPatch,
    events: tuple[Callable[[], None], ...],
    where: str,
) -> None:
    """Each order of the events at each place: before the task runs, in it thrice, and after."""
    left = list(events)

    def interrupted(original: Callable[..., object], place: str) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            while left and where == place:
                left.pop(0)()
            return original(*args, **kwargs)

        return call

    monkeypatch.setattr(finishing, "reconcile", interrupted(finishing.reconcile, "first"))
    monkeypatch.setattr(finishing, "overview", interrupted(finishing.overview, "amid"))
    monkeypatch.setattr(type(feeder), "close_run", interrupted(type(feeder).close_run, "last"))
    if where == "before":
        while left:
            left.pop(0)()
    tasks.run()
    while left:
        left.pop(0)()
    tasks.run()

    run.refresh_from_db()
    states = Counter(CustomerReport.objects.values_list("state", flat=True))
    assert run.state == ReportRun.State.FINISHED
    assert State.PENDING not in states
    assert (run.done, run.failed) == (
        states[State.SENT],
        states[State.FAILED] + states[State.UNKNOWN],
    )
    assert run.total == run.done + run.failed == 7 + (one_customer in events)
    assert (State.FAILED in states) == (retry not in events)
    assert (State.UNKNOWN in states) == (settle not in events)
    assert run.error == ""
    reports = Counter(message.to[0] for message in mail.outbox)
    assert set(reports.values()) == {1}
    assert len(reports) == run.done
