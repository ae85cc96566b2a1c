"""The engine's thread: when it starts, what it waits for and how it ends."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hybrid_tasks import engine
from hybrid_tasks.runtime import Runtime, current
from tests.hybrid_tasks.engines import Ledger, put
from tests.hybrid_tasks.runtimes import own_runtime
from tests.processes import PATIENCE, wait_until


@contextmanager
def running[L: Ledger](kind: type[L]) -> Iterator[L]:
    """An engine with a thread that ends with the block."""
    with own_runtime() as runtime:
        yield runtime.part(kind)


def test_it_starts_with_the_first_item_and_writes_without_being_asked() -> None:
    with running(Ledger) as ledger:
        assert ledger._thread is None
        put(ledger, "abc")
        wait_until(lambda: len(ledger.written) == 3, "all is written")
        assert ledger._thread is not None
        assert ledger._thread.daemon


def test_it_tries_again_until_the_other_side_is_there() -> None:
    class Away(Ledger):
        refusals = 0

        def write(self, batch: dict[str, int]) -> None:
            self.there = self.refusals == 2
            self.refusals += not self.there
            super().write(batch)

    with running(Away) as away:
        put(away, "ab")
        assert away.flush(PATIENCE)
        assert (away.refusals, away.written) == (2, {"a": 0, "b": 1})


def test_a_flush_does_not_linger_and_has_its_limit() -> None:
    class Lingering(Ledger):
        linger = 10 * PATIENCE

    with running(Lingering) as lingering:
        put(lingering, "a")
        put(lingering, "b")
        assert lingering.flush(PATIENCE)
        assert lingering.batches == [2]
        lingering.there = False
        put(lingering, "b")
        assert not lingering.flush(0.01)
        lingering.there = True
        assert lingering.flush(PATIENCE)


def test_nothing_is_idle_that_has_something_to_write() -> None:
    """Also if it was just told to look what is due."""

    class Held(Ledger):
        go = threading.Event()

        def _wait(self) -> None:
            assert self.go.wait(PATIENCE)
            super()._wait()

    with running(Held) as held:
        held.start()
        held.hasten()
        put(held, "a")
        assert not held.flush(0)
        held.go.set()
        assert held.flush(PATIENCE)
        assert held.written == {"a": 0}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_is_started_again() -> None:
    class Mortal(Ledger):
        lives = 2

        def _wait(self) -> None:
            self.lives -= 1
            if self.lives:
                raise SystemExit
            super()._wait()

    with running(Mortal) as mortal:
        put(mortal, "a")
        dead = mortal._thread
        assert dead is not None
        dead.join(PATIENCE)
        mortal.put("b", 7)
        assert mortal.flush(PATIENCE)
        assert mortal._thread is not dead
        assert mortal.written == {"a": 0, "b": 7}


def test_it_gives_its_connections_back_when_it_has_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "IDLE_SECONDS", 0.01)
    with running(Ledger) as ledger:
        put(ledger, "a")
        wait_until(lambda: ledger.closed == 1, "they are closed")
        put(ledger, "b")
        wait_until(lambda: ledger.closed == 2, "they are closed again")
        assert ledger.written == {"a": 0, "b": 0}


def test_what_is_due_by_the_clock_is_done_without_an_item() -> None:
    class Due(Ledger):
        done = threading.Event()

        def until_due(self) -> float | None:
            return None if self.done.is_set() else 0.0

        def do_due(self) -> bool:
            self.done.set()
            return True

    with running(Due) as due:
        due.start()
        assert due.done.wait(PATIENCE)


def test_what_is_left_at_the_end_of_the_process_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engine, "EXIT_SECONDS", 0.01)
    with running(Ledger) as ledger:
        ledger.there = False
        put(ledger, "ab")
        ledger.runtime._end()
        assert "test-ledger could not write 2 items before the exit" in caplog.text
        ledger.there = True


def test_all_is_written_before_the_end_of_the_process() -> None:
    with running(Ledger) as ledger:
        put(ledger, "ab")
        ledger.runtime._end()
        assert ledger.written == {"a": 0, "b": 1}


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_has_a_runtime_of_its_own() -> None:
    with running(Ledger) as ledger:
        ledger.there = False
        put(ledger, "p")
        child = os.fork()
        if child == 0:
            try:
                ledger.runtime._end()  # it has nothing of its parent's to do
                anew: Runtime = current()
                own = anew.part(Ledger)
                put(own, "c")
                right = own.flush(PATIENCE) and own.written == {"c": 0}
                os._exit(0 if right and anew.holder != ledger.runtime.holder else 1)
            finally:
                os._exit(2)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        ledger.there = True
        assert ledger.flush(PATIENCE)
        assert ledger.written == {"p": 0}
