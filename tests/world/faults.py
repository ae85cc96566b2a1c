"""What is broken in the world at the moment."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db import OperationalError

from hybrid_tasks.relay.relaying import GRACE_CAP

if TYPE_CHECKING:
    from tests.world.process import Process

LOST_ANSWER = "the answer to the commit was lost"


class CacheAway(ConnectionError):
    """The cache cannot be reached."""


class BrokerAway(ConnectionError):
    """The broker cannot be reached."""


@dataclass
class Faults:
    """Who cannot be reached.

    Attributes:
        database: whether it is away for all.
        cache: whether it is away for all.
        broker: whether it is away for all.
        cut_off: names of processes that cannot reach the database although others can.
        stumbles: after how many statements of a process its connection breaks once, by its name.
        lost_commits: names of processes whose next commit succeeds without their hearing of it.
        lost_sends: names of processes whose next message the broker gets without their hearing so.
        back: when the database has come back.
        flaps: how often it went away again before the living could renew what they hold.
    """

    database: bool = False
    cache: bool = False
    broker: bool = False
    cut_off: set[str] = field(default_factory=set)
    stumbles: dict[str, int] = field(default_factory=dict)
    lost_commits: set[str] = field(default_factory=set)
    lost_sends: set[str] = field(default_factory=set)
    back: float = -math.inf
    flaps: int = 0

    def lose_database(self, now: float, *, away: bool) -> None:
        """Note that the database goes away or comes back."""
        self.database = away
        if not away:
            self.back = now
        elif now < self.back + GRACE_CAP:
            self.flaps += 1

    def heal(self) -> None:
        """Make all well."""
        self.database = self.cache = self.broker = False
        self.cut_off.clear()
        self.stumbles.clear()
        self.lost_commits.clear()
        self.lost_sends.clear()

    def before_statement(self, process: "Process") -> None:
        """Raise OperationalError if a statement of this process does not reach the database."""
        if self.database or process.name in self.cut_off:
            raise OperationalError("the database is away")
        if process.name in self.stumbles:
            self.stumbles[process.name] -= 1
            if self.stumbles[process.name] <= 0:
                del self.stumbles[process.name]
                raise OperationalError("the connection to the database broke")

    def after_commit(self, process: "Process") -> None:
        """Raise OperationalError if the answer to a commit is lost."""
        if process.name in self.lost_commits:
            self.lost_commits.discard(process.name)
            raise OperationalError(LOST_ANSWER)

    def before_cache(self) -> None:
        """Raise CacheAway if the cache is."""
        if self.cache:
            raise CacheAway("the cache is away")

    def before_broker(self) -> None:
        """Raise BrokerAway if the broker is."""
        if self.broker:
            raise BrokerAway("the broker is away")

    def after_sending(self, process: "Process") -> None:
        """Raise BrokerAway if the answer to a message is lost."""
        if process.name in self.lost_sends:
            self.lost_sends.discard(process.name)
            raise BrokerAway("the broker did not answer")
