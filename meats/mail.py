"""Email on the event loop: Django's messages, sent by aiosmtplib over a few connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiosmtplib
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.mail import EmailMessage

from hybrid_tasks.databases import arelease_connections

SMTP_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
ANSWERS = (aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPDataError)
IDLE_SECONDS = 30  # a connection that carried nothing for so long is closed
SEND_SECONDS = 60  # that one message may take, from its connection's first byte on

_shared: tuple[asyncio.AbstractEventLoop, "Pool"] | None = None


class Connection:
    """One SMTP connection, opened when it is needed, for one message at a time."""

    def __init__(self) -> None:
        self._client = aiosmtplib.SMTP(
            hostname=settings.EMAIL_HOST,
            port=settings.EMAIL_PORT,
            username=settings.EMAIL_HOST_USER or None,
            password=settings.EMAIL_HOST_PASSWORD or None,
            use_tls=settings.EMAIL_USE_SSL,
            start_tls=settings.EMAIL_USE_TLS,
            timeout=settings.EMAIL_TIMEOUT,
        )
        self._closing: asyncio.TimerHandle | None = None

    async def send(self, message: EmailMessage) -> None:
        """Send one message. Raises aiosmtplib.SMTPException or OSError if it was not accepted."""
        if self._closing:
            self._closing.cancel()
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._make_ready()
                await self._client.send_message(message.message(), recipients=message.recipients())
        except ANSWERS:
            raise
        except BaseException:
            # Cut off between question and answer: the next answer would be taken for this one.
            self._client.close()
            raise
        finally:
            loop = asyncio.get_running_loop()
            self._closing = loop.call_later(IDLE_SECONDS, self._client.close)

    async def _make_ready(self) -> None:
        """Connect, unless the server still answers on the connection that there is."""
        if self._client.is_connected:
            with suppress(aiosmtplib.SMTPException):
                await self._client.rset()
                return
        self._client.close()
        await self._client.connect()

    async def close(self) -> None:
        if self._closing:
            self._closing.cancel()
        if self._client.is_connected:
            with suppress(aiosmtplib.SMTPException):
                await self._client.quit()
        self._client.close()


class Pool:
    """At most `size` connections; who finds all in use waits for the first that is free."""

    def __init__(self, size: int) -> None:
        self._places = asyncio.Semaphore(size)
        self._idle: list[Connection] = []

    async def send(self, message: EmailMessage) -> None:
        """Send one message. Raises as Connection.send does; waiting for a place has no limit."""
        async with self._places:
            # The last used first, so that those which a burst has left over can be closed.
            connection = self._idle.pop() if self._idle else Connection()
            try:
                await connection.send(message)
            finally:
                self._idle.append(connection)

    async def close(self) -> None:
        for connection in self._idle:
            await connection.close()


@asynccontextmanager
async def shared_mail_pool() -> AsyncIterator[None]:
    """Let `deliver` use one pool on this loop, until the end."""
    global _shared
    pool = Pool(settings.SMTP_CONNECTIONS)
    _shared = (asyncio.get_running_loop(), pool)
    try:
        yield
    finally:
        _shared = None
        await pool.close()


async def deliver(message: EmailMessage) -> None:
    """Send a message: over the server's shared connections, or over one of its own on other loops.

    Meanwhile the caller holds no connection to the database: a mail server may take its time.
    Another EMAIL_BACKEND than SMTP, such as the one of tests, sends in a thread, as Django does.
    Raises aiosmtplib.SMTPException or OSError.
    """
    await arelease_connections()
    if settings.EMAIL_BACKEND != SMTP_BACKEND:
        await sync_to_async(message.send)()
    elif _shared and _shared[0] is asyncio.get_running_loop():
        await _shared[1].send(message)
    else:
        connection = Connection()
        try:
            await connection.send(message)
        finally:
            await connection.close()
