"""A runtime: its parts, what they own, and what differs where it is stepped by hand."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from hybrid_tasks import runtime as room
from hybrid_tasks.runtime import Clock, Runtime, current
from tests.processes import PATIENCE

AT_NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Part:
    """Does what it is told to at its next step.

    Attributes:
        waiting: what it answers then, of which the future gets the last.
        after: another part, which is given what this one has done.
        there: whether it can do anything.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.future = Future[int]()
        self.waiting: list[int] = []
        self.after: Part | None = None
        self.there = True
        runtime.steppables.append(self)

    def step(self) -> bool:
        if self.there and self.waiting:
            done, self.waiting = self.waiting, []
            self.future.set_result(done[-1])
            if self.after is not None:
                self.after.waiting += done
        return self.there

    def flush(self, _seconds: float) -> bool:
        return self.step()

    def __len__(self) -> int:
        return len(self.waiting)


def test_a_part_is_made_once_whoever_asks_first() -> None:
    runtime, start, made = Runtime(), threading.Barrier(8), list[int]()

    def part(_: Runtime) -> object:
        made.append(1)
        return object()

    def ask(_: int) -> object:
        start.wait(PATIENCE)
        return runtime.part(part)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(8)))
    assert (len(set(found)), len(made)) == (1, 1)


def test_each_runtime_has_parts_and_a_holder_of_its_own() -> None:
    one, other = Runtime(), Runtime()
    assert one.part(Part) is not other.part(Part)
    assert one.holder != other.holder


def test_what_is_owned_is_what_all_owners_say_at_this_moment() -> None:
    class Owner:
        def __init__(self, **leases: float) -> None:
            self.leases = leases

        def owned(self) -> list[tuple[str, float]]:
            return list(self.leases.items())

        def lost(self, ids: set[str]) -> None:
            raise NotImplementedError

    runtime = Runtime()
    one, other = Owner(a=30.0), Owner(b=5.0, c=5.0)
    runtime.owners += [one, other]
    assert runtime.owned() == {"a": 30.0, "b": 5.0, "c": 5.0}
    del other.leases["b"]
    assert runtime.owned() == {"a": 30.0, "c": 5.0}
    runtime.owners.remove(one)
    assert runtime.owned() == {"c": 5.0}


def test_the_one_in_use_is_that_of_all_threads() -> None:
    class Noon(Clock):
        def now(self) -> datetime:
            return AT_NOON

    before, noon = current(), Runtime(clock=Noon())
    with room.use(noon), ThreadPoolExecutor(1) as pool:
        assert current() is noon
        assert pool.submit(current).result() is noon
        assert room.now() == AT_NOON
    assert current() is before


def test_by_hand_who_waits_lets_all_parts_do_a_step() -> None:
    runtime = Runtime(threads=False)
    part = runtime.part(Part)
    with pytest.raises(TimeoutError):
        runtime.result_of(part.future, PATIENCE)
    part.waiting = [7]
    assert runtime.result_of(part.future, PATIENCE) == 7


def test_a_flush_is_for_all_parts_and_for_what_they_give_each_other() -> None:
    runtime = Runtime()
    last, middle, first = Part(runtime), Part(runtime), Part(runtime)
    first.after, middle.after = middle, last
    first.waiting = [1, 2]
    assert runtime.flush(PATIENCE)
    assert [part.future.result(0) for part in (first, middle, last)] == [2, 2, 2]


def test_a_part_that_cannot_flush_keeps_no_other_from_it() -> None:
    runtime = Runtime()
    stuck, other = Part(runtime), Part(runtime)
    stuck.there = False
    stuck.waiting, other.waiting = [1], [2]
    assert not runtime.flush(PATIENCE)
    assert (len(stuck), len(other)) == (1, 0)


async def test_a_blocking_call_has_a_thread_unless_all_is_done_by_hand() -> None:
    here = threading.get_ident()
    assert await Runtime().in_thread(threading.get_ident) != here
    assert await Runtime(threads=False).in_thread(threading.get_ident) == here


def test_what_came_last_ends_first() -> None:
    runtime, ended = Runtime(), list[str]()
    runtime.at_exit(lambda: ended.append("first"))
    runtime.at_exit(lambda: ended.append("last"))
    runtime._end()
    assert ended == ["last", "first"]


def test_what_cannot_end_keeps_nothing_from_ending(caplog: pytest.LogCaptureFixture) -> None:
    """Python 3.12.1 starts no thread at its exit, and what had not been stored was lost."""
    runtime, ended = Runtime(), list[str]()
    runtime.at_exit(lambda: ended.append("first"))
    runtime.at_exit(lambda: 1 / 0)
    runtime._end()
    runtime._at_exit.clear()  # so that the end of the tests does not try it, too
    assert ended == ["first"]
    assert "could not end in order" in caplog.text
    assert "ZeroDivisionError" in caplog.text
