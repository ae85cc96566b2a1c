"""Something else is away: told when it goes and when it is back, not at every turn between."""

import logging

from redis.exceptions import RedisError

logger = logging.getLogger(__name__)


class Outage:
    """What cannot be done while something else is away, such as Redis.

    Arguments:
        cannot: what is said when it begins, as in "Results cannot be read".
        can_again: what is said when it is over.
    """

    def __init__(self, cannot: str, can_again: str) -> None:
        self.cannot = cannot
        self.can_again = can_again
        self._goes_on = False

    def failed(self, error: Exception) -> None:
        """Say that it did not work, if it is the first time; call it where the error is caught."""
        if self._goes_on:
            return
        self._goes_on = True
        # Where the other side is away its words say all; anything else is a fault to be found.
        is_fault = not isinstance(error, OSError | RedisError)
        logger.warning("%s: %r", self.cannot, error, exc_info=is_fault)

    def worked(self) -> None:
        """Say that it works again, if it did not before."""
        if self._goes_on:
            self._goes_on = False
            logger.info("%s", self.can_again)
