"""Visitors without a browser, from any address of 127.0.0.0/8, as many as are wanted."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from tests.meats.smokehouse import VISITOR

PATIENCE = 60.0  # seconds that a stranger waits for an answer


def address(number: int) -> str:
    """Return one of many addresses of this machine."""
    return f"127.{1 + number // 62_500}.{1 + number // 250 % 250}.{1 + number % 250}"


@dataclass
class Line:
    """An open connection, with what was answered to its first request; 0 for nothing yet."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int = 0

    async def hear(self) -> int:
        """Wait for the status of an answer; 0 if the other side hangs up or says nothing."""
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(PATIENCE):
                head = await self.reader.readuntil(b"\r\n")
                self.status = int(head.split()[1])
        return self.status

    async def close(self) -> None:
        """Hang up."""
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()


async def call(url: str, source: str, text: str) -> Line:
    """Connect from an address, and say `text`."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(
        parts.hostname, parts.port, local_addr=(source, 0)
    )
    writer.write(text.encode())
    return Line(reader, writer)


def request(method: str, path: str, *headers: str) -> str:
    """Return a request's head."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""])


@asynccontextmanager
async def open_streams(
    url: str, paths: Sequence[str], sources: Sequence[str]
) -> AsyncIterator[list[Line]]:
    """Open one stream from each of `sources`, of `paths` in turn; they stay open in the block."""
    lines: list[Line] = []

    async def one(number: int, source: str) -> None:
        path = f"{paths[number % len(paths)]}events/"
        line = await call(url, source, request("GET", path, "Accept: text/event-stream"))
        lines.append(line)
        await line.hear()

    try:
        # In groups, as a listening socket has a queue of limited length.
        for begin in range(0, len(sources), 50):
            group = enumerate(sources[begin : begin + 50], begin)
            await asyncio.gather(*(one(number, source) for number, source in group))
        yield lines
    finally:
        await asyncio.gather(*(line.close() for line in lines))


def statuses(lines: Sequence[Line]) -> Counter[int]:
    return Counter(line.status for line in lines)


class Stranger:
    """Somebody with an address of their own, who orders and gets pages."""

    def __init__(self, url: str, number: int) -> None:
        secret = secrets.token_hex(16)
        self.http = httpx.AsyncClient(
            base_url=url,
            timeout=PATIENCE,
            transport=httpx.AsyncHTTPTransport(local_address=address(number)),
            cookies={"csrftoken": secret},
            headers={"X-CSRFToken": secret},
        )

    async def order(self, email: str) -> str:
        """Order ribs; return the order's path. Raises AssertionError for another answer."""
        form = {**VISITOR, "email": email, "token": str(uuid4())}
        response = await self.http.post("/orders/", data=form)
        assert response.status_code == httpx.codes.FOUND, f"{response.status_code}: {email}"
        return response.headers["Location"]

    async def get(self, path: str) -> int:
        """Return the status of a page, 0 if there was no answer in time."""
        try:
            return (await self.http.get(path)).status_code
        except httpx.HTTPError:
            return 0

    async def leave(self) -> None:
        await self.http.aclose()


@asynccontextmanager
async def strangers(url: str, count: int) -> AsyncIterator[list[Stranger]]:
    """Give so many visitors, each from an address of their own."""
    who = [Stranger(url, number) for number in range(count)]
    try:
        yield who
    finally:
        await asyncio.gather(*(one.leave() for one in who))
