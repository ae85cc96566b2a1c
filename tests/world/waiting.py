"""Events, locks, pools and futures for simulated threads."""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit

from tests.world.threads import wait

if TYPE_CHECKING:
    from tests.world.process import Process


class Event:
    """threading.Event for simulated threads."""

    def __init__(self) -> None:
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        return wait(self.is_set, timeout)


class Lock:
    """threading.Lock for simulated threads."""

    def __init__(self) -> None:
        self._held = False

    def __enter__(self) -> None:
        wait(lambda: not self._held)
        self._held = True

    def __exit__(self, *_: object) -> None:
        self._held = False


class Pool:
    """concurrent.futures.ThreadPoolExecutor for simulated threads."""

    def __init__(self, process: "Process", name: str, threads: int) -> None:
        self._process = process
        self._name = name
        self._max_workers = threads
        self._busy = 0

    def submit[T](self, function: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
        """See ThreadPoolExecutor."""
        future: Future[T] = Future()
        call = partial(function, *args, **kwargs)
        self._process.spawn(self._name, lambda: self._run(call, future))
        return future

    def _run(self, call: Callable[[], Any], future: Future[Any]) -> None:
        wait(lambda: self._busy < self._max_workers)
        if not future.set_running_or_notify_cancel():
            return
        self._busy += 1
        try:
            fulfil(future, call)
        finally:
            self._busy -= 1


def fulfil(future: Future[Any], call: Callable[[], Any]) -> None:
    """Give a future what a call returns or raises."""
    try:
        value = call()
    except GreenletExit:
        raise
    except BaseException as error:  # noqa: BLE001 - as an executor does
        future.set_exception(error)
    else:
        future.set_result(value)
