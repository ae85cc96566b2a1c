"""What an order starts, run to its end without a server; and how long failed attempts wait."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import aiosmtplib
import httpx
import pytest
from django.core import mail
from django.tasks import TaskResultStatus
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.tasks import Task
from hybrid_tasks.testing import capture_tasks
from meats import backoffs, receipts
from meats.models import Order
from meats.ordering import SIDE_EFFECTS, place_order
from meats.tasks import notify_partner, smoke_order
from tests.meats.test_orders import fields

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(settings: Settings, tmp_path: Path) -> Order:
    settings.RECEIPTS_DIR = tmp_path / "receipts"
    with capture_tasks():
        data = fields()
        return place_order(
            token=data["token"],
            meats=["ribs", "<b>tofu</b>"],
            flavor="Gold Bond",
            name=data["name"],
            email=data["email"],
        )


type Run = Callable[[Task, Order], TaskResult]


@pytest.fixture
def run(django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks) -> Run:
    """A function that runs a task of an order to its end."""

    def run_task(task: Task, order: Order) -> TaskResult:
        with capture_tasks() as tasks, django_capture_on_commit_callbacks(execute=True):
            task.enqueue(str(order.uuid))
        (result,) = tasks.run()
        assert result.status == TaskResultStatus.SUCCESSFUL, result.errors
        return result

    return run_task


def test_smoking_tells_each_step_and_marks_the_order(order: Order, run: Run) -> None:
    result = run(smoke_order, order)
    assert result.metadata["progress"] == {"done": 4, "total": 4, "note": "All smoked."}
    order.refresh_from_db()
    assert order.state == Order.State.SMOKED
    assert order.smoked_at is not None


def test_smoking_goes_on_where_it_was_interrupted(
    order: Order, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    half_way = {"progress": {"done": 3, "total": 4, "note": "Smoking some tofu…"}}
    run(smoke_order.using(metadata=half_way), order)
    lines = [record.getMessage() for record in caplog.records if record.name == "meats.tasks"]
    assert lines == ["Applying the Gold Bond...."]


def test_the_confirmation_has_text_and_html_and_the_tasks_id(order: Order, run: Run) -> None:
    result = run(SIDE_EFFECTS["confirmation"], order)
    (message,) = mail.outbox
    assert message.to == ["ada@example.com"]
    assert "<b>tofu</b>, $12.00" in message.body
    html, kind = message.alternatives[0]  # type: ignore[attr-defined]
    assert kind == "text/html"
    assert "&lt;b&gt;tofu&lt;/b&gt;, $12.00" in html
    assert result.id in message.message()["Message-ID"]


def test_the_receipt_is_written_whole(order: Order, run: Run, settings: Settings) -> None:
    result = run(SIDE_EFFECTS["receipt"], order)
    assert result.return_value == f"{order.uuid}.txt"
    (path,) = settings.RECEIPTS_DIR.iterdir()
    assert "Together" in path.read_text()
    assert "26.50" in path.read_text()


def test_a_receipt_that_cannot_be_written_leaves_nothing(
    order: Order, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="no space left"):
        receipts.write(order)
    assert list(settings.RECEIPTS_DIR.iterdir()) == []


def refusal(status: int, **headers: str) -> httpx.HTTPStatusError:
    request = httpx.Request("POST", "http://partner.example/")
    return httpx.HTTPStatusError(
        "no", request=request, response=httpx.Response(status, headers=headers, request=request)
    )


def in_ten_minutes() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)


@pytest.mark.parametrize(
    ("error", "least", "most"),
    [
        (httpx.ConnectError("refused"), 2.5, 5),
        (httpx.ReadTimeout("slow"), 2.5, 5),
        (refusal(503), 2.5, 5),
        (refusal(429), 2.5, 5),
        (refusal(429, **{"Retry-After": "120"}), 120, 120),
        (refusal(429, **{"Retry-After": in_ten_minutes()}), 500, 600),
        (refusal(429, **{"Retry-After": "1000000000"}), 3600, 3600),
        (refusal(503, **{"Retry-After": "soon"}), 2.5, 5),
    ],
)
def test_a_partner_is_asked_again_after_what_may_pass(
    error: Exception, least: float, most: float, settings: Settings
) -> None:
    settings.RETRY_SECONDS = 5
    first = states.started(states.make(notify_partner, [], {}, "default"), "test")
    wait = backoffs.for_partner(error, first)
    assert wait is not None
    assert least <= wait <= most


@pytest.mark.parametrize("status", [301, 400, 404, 422])
def test_a_partner_that_refuses_is_not_asked_again(status: int) -> None:
    result = states.make(notify_partner, [], {}, "default")
    assert backoffs.for_partner(refusal(status), result) is None


def test_five_attempts_outlast_an_outage_of_a_minute(settings: Settings) -> None:
    settings.RETRY_SECONDS = 5
    result = states.make(notify_partner, [], {}, "default")
    waits = []
    for _ in range(4):
        result = states.started(result, "test")
        waits.append(backoffs.patient(OSError(), result))
    assert sum(waits) > 60


@pytest.mark.parametrize(
    ("error", "gives_up"),
    [
        (aiosmtplib.SMTPConnectError("refused"), False),
        (aiosmtplib.SMTPResponseException(451, "later"), False),
        (aiosmtplib.SMTPResponseException(550, "no such user"), True),
        (aiosmtplib.SMTPRecipientsRefused([aiosmtplib.SMTPRecipientRefused(550, "no", "a")]), True),
        (
            aiosmtplib.SMTPRecipientsRefused([aiosmtplib.SMTPRecipientRefused(450, "full", "a")]),
            False,
        ),
    ],
)
def test_mail_that_is_refused_for_good_is_not_sent_again(error: Exception, gives_up: bool) -> None:
    result = states.started(states.make(notify_partner, [], {}, "default"), "test")
    assert (backoffs.for_mail(error, result) is None) == gives_up
