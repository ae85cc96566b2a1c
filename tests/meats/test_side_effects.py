"""What an order starts, run to its end without a server; and how long failed attempts wait."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from uuid import UUID

import aiosmtplib
import httpx
import pytest
from django.core import mail
from django.tasks import TaskResultStatus
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from hybrid_tasks.results import states
from hybrid_tasks.results.task_result import TaskResult
from hybrid_tasks.tasks import Task
from hybrid_tasks.testing import capture_tasks
from meats import backoffs, receipts
from meats.models import Customer, Order
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
            token=UUID(data["token"]),
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
    Customer.objects.update(confirmed_at=timezone.now())
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


def pause_after(error: Exception) -> float:
    first = states.started(states.make(notify_partner, [], {}, "default"), "test")
    wait = backoffs.for_partner(error, first)
    assert wait is not None
    return wait


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
        (refusal(429, **{"Retry-After": "1000000000"}), 3600, 3600),
        (refusal(503, **{"Retry-After": "soon"}), 2.5, 5),
    ],
)
def test_a_partner_is_asked_again_after_what_may_pass(
    error: Exception, least: float, most: float, settings: Settings
) -> None:
    settings.RETRY_SECONDS = 5
    assert least <= pause_after(error) <= most


def test_a_partner_is_asked_again_at_the_time_it_names(settings: Settings) -> None:
    settings.RETRY_SECONDS = 5
    assert 500 <= pause_after(refusal(429, **{"Retry-After": in_ten_minutes()})) <= 600


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


def refused_recipients(*answers: tuple[int, str]) -> aiosmtplib.SMTPRecipientsRefused:
    refused = [aiosmtplib.SMTPRecipientRefused(code, text, "ada@x") for code, text in answers]
    return aiosmtplib.SMTPRecipientsRefused(refused)


@pytest.mark.parametrize(
    "error",
    [
        refused_recipients((550, "5.1.1 no such user")),
        refused_recipients((501, "5.1.3 Bad recipient address syntax")),
        refused_recipients((552, "mailbox full"), (553, "not allowed")),
        aiosmtplib.SMTPDataError(554, "5.6.0 we do not like its contents"),
        aiosmtplib.SMTPDataError(552, "too long"),
    ],
)
def test_mail_that_is_refused_for_good_is_not_sent_again(error: Exception) -> None:
    result = states.started(states.make(notify_partner, [], {}, "default"), "test")
    assert backoffs.for_mail(error, result) is None


@pytest.mark.parametrize(
    "error",
    [
        aiosmtplib.SMTPConnectError("refused"),
        aiosmtplib.SMTPConnectResponseError(554, "no service for you"),
        aiosmtplib.SMTPServerDisconnected("gone"),
        aiosmtplib.SMTPReadTimeoutError("slow"),
        aiosmtplib.SMTPHeloError(550, "who are you?"),
        aiosmtplib.SMTPAuthenticationError(535, "5.7.8 wrong password"),
        aiosmtplib.SMTPSenderRefused(550, "unknown sender", "us@x"),
        aiosmtplib.SMTPSenderRefused(530, "5.7.0 log in first", "us@x"),
        aiosmtplib.SMTPDataError(421, "stopping"),
        aiosmtplib.SMTPDataError(451, "later"),
        aiosmtplib.SMTPDataError(554, "5.7.1 your address is on a list"),
        refused_recipients((450, "greylisted")),
        refused_recipients((550, "gone"), (452, "full")),
        refused_recipients((530, "log in first")),
        refused_recipients((554, "5.7.1 <ada@x>: Relay access denied")),
        refused_recipients((550, "relay not permitted")),
        refused_recipients((553, "sorry, that domain isn't in my list of allowed rcpthosts")),
        OSError("the network is away"),
    ],
)
def test_mail_that_is_refused_for_now_or_because_of_us_is_sent_again(error: Exception) -> None:
    result = states.started(states.make(notify_partner, [], {}, "default"), "test")
    assert backoffs.for_mail(error, result) is not None
