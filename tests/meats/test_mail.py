"""Email on the event loop, to a real SMTP server."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import aiosmtplib
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from django.core.mail import EmailMessage
from pytest_django import Settings

from meats import mail
from meats.mail import SMTP_BACKEND, Connection, deliver, shared_mail_pool
from tests.processes import free_port


class Keeper:
    """An aiosmtpd handler that keeps subjects, counts connections and can refuse recipients."""

    def __init__(self) -> None:
        self.subjects: list[str] = []
        self.connections: set[Any] = set()
        self.refuse = ""
        self.seconds = 0.0
        self.held: set[str] = set()  # subjects that are answered when they are taken out
        self.arrived = threading.Event()

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        self.connections.add(session.peer)
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        head = envelope.content.decode().split("Subject: ")[1]
        subject = head.splitlines()[0]
        await asyncio.sleep(self.seconds)
        if subject in self.held:
            self.arrived.set()
            while subject in self.held:  # noqa: ASYNC110 - the test is in another thread
                await asyncio.sleep(0.01)
        self.subjects.append(subject)
        return "250 OK"


@pytest.fixture
def port(settings: Settings) -> int:
    settings.EMAIL_BACKEND = SMTP_BACKEND
    settings.EMAIL_HOST = "127.0.0.1"
    settings.EMAIL_PORT = free_port()
    port: int = settings.EMAIL_PORT
    return port


def started(keeper: Keeper, port: int, **options: Any) -> Controller:
    controller = Controller(keeper, hostname="127.0.0.1", port=port, ready_timeout=60, **options)
    controller.start()
    return controller


@pytest.fixture
def keeper(port: int) -> Iterator[Keeper]:
    keeper = Keeper()
    controller = started(keeper, port)
    yield keeper
    controller.stop()


def message(subject: str) -> EmailMessage:
    return EmailMessage(subject, "Hello", to=["ada@example.com"])


async def test_a_burst_goes_over_a_few_connections(keeper: Keeper, settings: Settings) -> None:
    settings.SMTP_CONNECTIONS = 3
    async with shared_mail_pool():
        await asyncio.gather(*(deliver(message(str(number))) for number in range(50)))
    assert sorted(keeper.subjects, key=int) == [str(number) for number in range(50)]
    assert len(keeper.connections) == 3


async def test_one_after_the_other_goes_over_one_connection(keeper: Keeper) -> None:
    async with shared_mail_pool():
        for number in range(5):
            await deliver(message(str(number)))
    assert len(keeper.connections) == 1


async def test_one_slow_message_does_not_hold_up_the_others(
    keeper: Keeper, settings: Settings
) -> None:
    settings.SMTP_CONNECTIONS = 2
    keeper.held = {"slow"}
    async with shared_mail_pool():
        slow = asyncio.create_task(deliver(message("slow")))
        async with asyncio.timeout(60):
            await asyncio.to_thread(keeper.arrived.wait, 60)
            for number in range(3):
                await deliver(message(str(number)))
        assert keeper.subjects == ["0", "1", "2"]
        keeper.held.clear()
        await slow


async def test_waiting_for_a_connection_does_not_count_as_sending(
    keeper: Keeper, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meats.mail.SEND_SECONDS", 5)
    settings.SMTP_CONNECTIONS = 1
    keeper.seconds = 0.5
    async with shared_mail_pool():
        await asyncio.gather(*(deliver(message(str(number))) for number in range(12)))
    assert len(keeper.subjects) == 12


async def test_a_server_that_hangs_is_given_up(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meats.mail.SEND_SECONDS", 0.5)
    keeper.held = {"hangs"}
    async with shared_mail_pool():
        with pytest.raises(TimeoutError):
            await deliver(message("hangs"))
        keeper.held.clear()


async def test_a_password_that_was_mended_is_used_at_once(port: int, settings: Settings) -> None:
    settings.EMAIL_HOST_USER = "smokehouse"
    right = [b"of yesterday"]

    def authenticate(*given: Any) -> AuthResult:
        return AuthResult(success=given[-1].password in right, handled=False)

    keeper = Keeper()
    controller = started(keeper, port, authenticator=authenticate, auth_require_tls=False)
    settings.EMAIL_HOST_PASSWORD = "of today"
    async with shared_mail_pool():
        for _ in range(2):
            with pytest.raises(aiosmtplib.SMTPAuthenticationError):
                await deliver(message("one"))
        right.append(b"of today")
        await deliver(message("one"))
    controller.stop()
    assert keeper.subjects == ["one"]


async def test_a_server_that_was_restarted_is_connected_anew(port: int) -> None:
    async with shared_mail_pool():
        for _ in range(2):
            keeper = Keeper()
            controller = started(keeper, port)
            await deliver(message("one"))
            controller.stop()
            assert keeper.subjects == ["one"]


async def test_an_idle_connection_is_closed_and_made_again(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meats.mail.IDLE_SECONDS", 0)
    connection = Connection()
    await connection.send(message("one"))
    async with asyncio.timeout(60):
        while connection._client.is_connected:  # noqa: ASYNC110 - closing sets no event
            await asyncio.sleep(0)
    await connection.send(message("two"))
    await connection.close()
    assert keeper.subjects == ["one", "two"]
    assert len(keeper.connections) == 2


async def test_without_the_servers_connection_each_message_has_one(keeper: Keeper) -> None:
    await deliver(message("one"))
    await deliver(message("two"))
    assert len(keeper.connections) == 2


async def test_a_refused_message_does_not_hold_up_the_next(keeper: Keeper) -> None:
    keeper.refuse = "550 no such user"
    async with shared_mail_pool():
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
            await deliver(message("one"))
        keeper.refuse = ""
        await deliver(message("two"))
    assert keeper.subjects == ["two"]
    assert len(keeper.connections) == 1


async def test_a_message_that_is_cut_off_does_not_spoil_the_next(keeper: Keeper) -> None:
    async with shared_mail_pool():
        await deliver(message("one"))
        sending = asyncio.create_task(deliver(message("cut off")))
        _, pool = mail._shared or (None, None)
        assert pool is not None
        while pool._idle:  # noqa: ASYNC110 - until it has begun and waits for an answer
            await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await deliver(message("two"))
    assert keeper.subjects[-1] == "two"
    assert len(keeper.connections) == 2


async def test_a_server_that_is_away_is_an_error(port: int) -> None:
    async with shared_mail_pool():
        with pytest.raises(aiosmtplib.SMTPConnectError):
            await deliver(message("one"))


async def test_where_tls_is_asked_for_nothing_goes_in_the_clear(
    keeper: Keeper, settings: Settings
) -> None:
    for starttls in (True, False):
        settings.EMAIL_USE_TLS, settings.EMAIL_USE_SSL = starttls, not starttls
        with pytest.raises((aiosmtplib.SMTPException, ssl.SSLError)):
            await deliver(message("secret"))
    assert keeper.subjects == []


async def test_the_backend_of_tests_is_honoured(mailoutbox: list[EmailMessage]) -> None:
    await deliver(message("one"))
    assert [sent.subject for sent in mailoutbox] == ["one"]
