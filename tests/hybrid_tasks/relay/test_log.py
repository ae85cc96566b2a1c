"""The relay's runs stay out of the log, and nothing else does."""

import logging

import pytest

from hybrid_tasks.relay.log import NAME, QuietRelayFilter


@pytest.mark.parametrize(
    ("logger", "level", "message", "shown"),
    [
        ("celery.app.trace", logging.INFO, f"Task {NAME}[1] succeeded", False),
        ("celery.beat", logging.INFO, f"Sending due task Outbox relay ({NAME})", False),
        ("celery.app.trace", logging.ERROR, f"Task {NAME}[1] raised", True),
        ("celery.app.trace", logging.INFO, "Task reports.tasks.nightly_cleanup[1] succeeded", True),
        ("hybrid_tasks", logging.INFO, f"{NAME} relayed 3 tasks", True),
    ],
)
def test_only_the_routine_of_the_relay_is_dropped(
    logger: str, level: int, message: str, shown: bool
) -> None:
    record = logging.LogRecord(logger, level, "", 0, message, None, None)
    assert QuietRelayFilter().filter(record) is shown
