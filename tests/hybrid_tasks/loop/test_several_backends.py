"""Several backends on one loop, so that one's tasks take no places of another's."""

import asyncio

from django.tasks import TaskResultStatus
from pytest_django import Settings

from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.tasks import task

LOOP = "hybrid_tasks.backends.eventloop.EventLoopBackend"


class Meeting:
    """What the two tasks know of each other; made anew by the test, on its loop."""

    def __init__(self) -> None:
        self.hurried_began = asyncio.Event()
        self.hurried_was_stopped = asyncio.Event()


meeting: Meeting


async def hurried() -> None:
    """Run until stopped."""
    meeting.hurried_began.set()
    try:
        await asyncio.Event().wait()
    finally:
        meeting.hurried_was_stopped.set()


async def patient() -> None:
    """End when the other was stopped."""
    await meeting.hurried_was_stopped.wait()


async def test_all_drain_at_once(settings: Settings) -> None:
    """The one whose time is up first is stopped while the other still has time."""
    global meeting
    meeting = Meeting()
    settings.TASKS = {
        "hurried": {"BACKEND": LOOP, "OPTIONS": {"drain_timeout": 0}},
        "patient": {"BACKEND": LOOP, "OPTIONS": {"drain_timeout": 10}},
    }
    async with serve():
        await task(backend="hurried")(hurried).aenqueue()
        result = await task(backend="patient")(patient).aenqueue()
        await meeting.hurried_began.wait()
    await result.arefresh()
    assert result.status is TaskResultStatus.SUCCESSFUL
