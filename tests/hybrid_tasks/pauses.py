"""The pause of a background thread between two tries, held for as long as a test needs."""

import threading

from tests.processes import PATIENCE


class HeldPause:
    """Stands for the module `time` in a module under test.

    Attributes:
        begun: set when the thread pauses.
        over: the thread goes on when the test sets it.
    """

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.over = threading.Event()

    def sleep(self, _seconds: float) -> None:
        self.begun.set()
        assert self.over.wait(PATIENCE)
