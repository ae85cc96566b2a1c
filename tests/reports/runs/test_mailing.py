"""What a run does with a mail server that says no, not yet, or nothing: a real one, over SMTP."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from hybrid_tasks.testing import CapturedTasks, capture_tasks
from meats.mail import SMTP_BACKEND
from meats.models import Customer
from reports.models import CustomerReport, ReportRun
from reports.runs import chunks, control
from reports.tasks import feeder
from tests.processes import free_port
from tests.reports.orders import PERIOD, add_customer, add_customers, add_order

pytestmark = pytest.mark.django_db(transaction=True)

State = CustomerReport.State


class Moody:
    """An aiosmtpd handler that keeps to whom mail was accepted, and answers as it is told.

    Attributes:
        archive: a Maildir that gets a copy of what was accepted.
        answers: for each recipient what is answered, one after the other, at which stage.
    """

    def __init__(self) -> None:
        self.accepted: Counter[str] = Counter()
        self.archive: Path | None = None
        self.answers: dict[str, list[tuple[str, str]]] = {}
        self.tries: Counter[str] = Counter()

    def answer(self, stage: str, address: str) -> str | None:
        planned = self.answers.get(address, [])
        return planned.pop(0)[1] if planned and planned[0][0] == stage else None

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        self.tries[address] += 1
        if said := self.answer("RCPT", address):
            return said
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        (address,) = envelope.rcpt_tos
        if said := self.answer("DATA", address):
            return said
        if said := self.answer("CUT", address):
            server.transport.abort()
            return said
        self.accepted[address] += 1
        if self.archive:
            (self.archive / "new" / str(self.accepted.total())).write_bytes(envelope.content)
        if self.answer("LOST", address):
            server.transport.abort()
        return "250 OK"


@pytest.fixture
def port(settings: Settings) -> int:
    settings.EMAIL_BACKEND = SMTP_BACKEND
    settings.EMAIL_HOST = "127.0.0.1"
    settings.REPORT_CHUNK = 10
    port: int = free_port()
    settings.EMAIL_PORT = port
    return port


def started(moody: Moody, port: int) -> Controller:
    controller = Controller(moody, hostname="127.0.0.1", port=port, ready_timeout=60)
    controller.start()
    return controller


@pytest.fixture
def moody(port: int) -> Iterator[Moody]:
    moody = Moody()
    controller = started(moody, port)
    yield moody
    controller.stop()


@pytest.fixture
def tasks() -> Iterator[CapturedTasks]:
    with capture_tasks() as captured:
        yield captured


def send_all(tasks: CapturedTasks) -> ReportRun:
    run = control.start(PERIOD, feeder)
    tasks.run()
    run.refresh_from_db()
    return run


def report_of(customer: Customer) -> CustomerReport:
    return CustomerReport.objects.get(customer=customer)


@pytest.mark.parametrize("stage", ["RCPT", "DATA"])
@pytest.mark.parametrize("code", [421, 450, 451, 452, 454])
def test_what_is_refused_for_now_is_mailed_later(
    moody: Moody, tasks: CapturedTasks, stage: str, code: int
) -> None:
    customers = add_customers(4)
    moody.answers[customers[1].email] = [(stage, f"{code} not now")] * 2
    run = send_all(tasks)
    assert (run.state, run.done, run.failed, run.total) == ("finished", 4, 0, 4)
    assert moody.accepted == {customer.email: 1 for customer in customers}
    assert report_of(customers[1]).tries == 2
    assert report_of(customers[1]).error == ""


def test_it_waits_longer_each_time_and_the_run_is_not_finished_before(
    moody: Moody, tasks: CapturedTasks, settings: Settings
) -> None:
    customers = add_customers(3)
    moody.answers[customers[1].email] = [("RCPT", "450 greylisted")] * 2
    run = control.start(PERIOD, feeder)
    for tries, seconds in ((1, 60), (2, 240)):
        chunk = run.chunks.get(finished=None)
        feeder.close_chunk(chunk.pk, *chunks.make_chunk(chunk, lambda _done, _size: None))
        run.refresh_from_db()
        report = report_of(customers[1])
        assert (run.state, run.done, run.failed) == ("running", 2, 0)
        assert (report.state, report.tries) == (State.PENDING, tries)
        assert "450 greylisted" in report.error
        assert report.not_before
        assert timedelta(0) <= report.not_before - report.state_since < timedelta(seconds=seconds)
        assert report.not_before > timezone.now() + timedelta(seconds=seconds - 30)
        assert tasks.enqueued[-1].task.run_after == report.not_before
        assert report.chunk != chunk
    tasks.run()
    run.refresh_from_db()
    assert (run.state, run.done) == ("finished", 3)
    assert set(moody.accepted.values()) == {1}


def test_after_the_last_try_it_has_failed_and_says_why(
    moody: Moody, tasks: CapturedTasks, settings: Settings
) -> None:
    settings.REPORT_TRIES = 3
    customers = add_customers(3)
    moody.answers[customers[0].email] = [("RCPT", "452 mailbox full")] * 3
    run = send_all(tasks)
    assert (run.state, run.done, run.failed) == ("finished", 2, 1)
    report = report_of(customers[0])
    assert report.state == State.FAILED
    assert "452 mailbox full" in report.error
    assert "tried 3 times" in report.error
    assert moody.tries[customers[0].email] == 3

    assert control.retry(run, feeder) == 1
    tasks.run()
    run.refresh_from_db()
    assert (run.state, run.done, run.failed) == ("finished", 3, 0)
    assert set(moody.accepted.values()) == {1}


@pytest.mark.parametrize("stage", ["RCPT", "DATA"])
@pytest.mark.parametrize("code", [550, 552, 554])
def test_what_is_refused_for_good_is_not_tried_again(
    moody: Moody, tasks: CapturedTasks, stage: str, code: int
) -> None:
    customers = add_customers(3)
    moody.answers[customers[0].email] = [(stage, f"{code} no\x07 such\tuser")]
    run = send_all(tasks)
    assert (run.state, run.done, run.failed) == ("finished", 2, 1)
    assert f"{code} no" in report_of(customers[0]).error
    assert report_of(customers[0]).error.isprintable()
    assert moody.tries[customers[0].email] == 1


UNMAILABLE = [
    "\u017f@example.com",  # passes Django's EmailField
    "\u017f@" + "\u00fc" * 64 + ".example",
    "a@" + "\u00fc" * 64 + ".example",
    "",
    "not an address",
    "ada@one.example, ben@two.example",
    "ada@one.example\r\nBcc: ben@two.example",
    "a..b@example.com",
    "ab\u017f@[{<~nü",  # the standard library's parser raises AttributeError
    "\u202eada@example.com",
]


def test_an_address_that_cannot_be_mailed_stops_nobody(moody: Moody, tasks: CapturedTasks) -> None:
    """Each with others before and behind it in its chunk."""
    good, bad = add_customers(3), []
    for number, address in enumerate(UNMAILABLE):
        bad.append(add_customer(f"Bad {number}", email=address))
        add_order(bad[-1], "ribs")
        good.append(add_customer(f"Good {number}"))
        add_order(good[-1], "ribs")
    run = send_all(tasks)
    assert (run.state, run.done, run.failed) == ("finished", len(good), len(bad))
    assert moody.accepted == {customer.email: 1 for customer in good}
    for customer in bad:
        assert report_of(customer).state == State.FAILED
        assert "No mail can be sent to" in report_of(customer).error
        assert report_of(customer).error.isprintable()
    assert all(not result.errors for result in tasks.results)


def test_a_domain_in_another_script_is_mailed(moody: Moody, tasks: CapturedTasks) -> None:
    add_order(add_customer("Ada", email="ada@exämple.com"), "ribs")
    assert send_all(tasks).done == 1
    assert moody.accepted == {"ada@xn--exmple-cua.com": 1}


def test_a_server_that_is_away_is_waited_for(
    port: int, tasks: CapturedTasks, settings: Settings
) -> None:
    settings.REPORT_TRIES = 3
    customers = add_customers(3)
    add_order(add_customer("Silent", unsubscribed_at=timezone.now()), "ribs")
    run = control.start(PERIOD, feeder)
    chunk = run.chunks.get()
    feeder.close_chunk(chunk.pk, *chunks.make_chunk(chunk, lambda _done, _size: None))
    run.refresh_from_db()
    assert (run.state, run.done, run.failed) == ("running", 1, 0)
    assert "cannot be reached" in report_of(customers[2]).error

    moody = Moody()
    controller = started(moody, port)
    tasks.run()
    controller.stop()
    run.refresh_from_db()
    assert (run.state, run.done) == ("finished", 4)
    assert moody.accepted == {customer.email: 1 for customer in customers}


def test_a_server_that_stays_away_fails_the_reports_and_not_the_run(
    port: int, tasks: CapturedTasks
) -> None:
    add_customers(3)
    run = send_all(tasks)
    assert (run.state, run.done, run.failed) == ("finished", 0, 3)
    assert all("(tried 6 times)" in report.error for report in CustomerReport.objects.all())


def test_a_connection_that_is_lost_leaves_one_open_and_stops_nobody(
    moody: Moody, tasks: CapturedTasks
) -> None:
    customers = add_customers(4)
    moody.answers[customers[1].email] = [("LOST", "now")]
    run = send_all(tasks)
    assert (run.state, run.done, run.failed) == ("finished", 3, 1)
    assert report_of(customers[1]).state == State.UNKNOWN
    assert moody.accepted == {customer.email: 1 for customer in customers}


@pytest.mark.parametrize("stage", ["LOST", "CUT"])
def test_the_archive_decides_on_a_connection_that_was_lost(
    moody: Moody, tasks: CapturedTasks, settings: Settings, tmp_path: Path, stage: str
) -> None:
    """Accepted or not: before the mail server said so, or before it had the mail."""
    moody.archive = tmp_path
    (tmp_path / "new").mkdir()
    settings.MAIL_ARCHIVE = str(tmp_path)
    customers = add_customers(3)
    moody.answers[customers[1].email] = [(stage, "250 now")]
    run = send_all(tasks)
    assert (run.state, run.done, run.failed) == ("finished", 3, 0)
    assert report_of(customers[1]).error == ""
    assert moody.accepted == {customer.email: 1 for customer in customers}


def test_only_one_customer_is_waited_for_without_starting_the_run(
    moody: Moody, tasks: CapturedTasks
) -> None:
    customers = add_customers(3)
    moody.answers[customers[1].email] = [("RCPT", "450 greylisted"), ("RCPT", "550 gone")]
    control.start_customer(PERIOD, customers[1], feeder)
    tasks.run()
    run = ReportRun.objects.get()
    assert (run.state, run.done, run.failed) == ("new", 0, 1)
    control.retry(run, feeder)
    tasks.run()
    run.refresh_from_db()
    assert (run.state, run.done, run.failed) == ("new", 1, 0)
    assert moody.accepted == {customers[1].email: 1}


def test_a_chunk_that_takes_too_long_hands_the_rest_on(
    moody: Moody, tasks: CapturedTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that takes a minute for each mail must not run the task into its timeout."""
    monkeypatch.setattr(chunks, "SECONDS", 0.0)
    customers = add_customers(5)
    run = send_all(tasks)
    assert (run.state, run.done) == ("finished", 5)
    assert run.chunks.count() == 5
    assert moody.accepted == {customer.email: 1 for customer in customers}


def test_a_member_of_the_staff_without_a_proper_address_stops_no_news(
    moody: Moody, tasks: CapturedTasks
) -> None:
    for name, email in (("odd", "\u017f@example.com"), ("staff", "staff@shop.example")):
        User.objects.create_user(name, email, is_staff=True)
    User.objects.filter(username="odd").update(email="\u017f@example.com")
    add_customers(1)
    assert send_all(tasks).state == "finished"
    assert moody.accepted["staff@shop.example"] == 1


def test_staff_that_cannot_be_told_keep_no_run_open(moody: Moody, tasks: CapturedTasks) -> None:
    User.objects.create_user("staff", "staff@shop.example", is_staff=True)
    moody.answers["staff@shop.example"] = [("RCPT", "550 gone")] * 5
    add_customers(1)
    assert send_all(tasks).state == "finished"
    assert [result.status for result in tasks.results][-1] == "FAILED"
