"""Keeps the relay's runs out of the log; what a run has done, the relay logs itself."""

import logging

NAME = "hybrid_tasks.relay_outbox"  # of the relay's Celery task


class QuietRelayFilter(logging.Filter):
    """Drops the lines by which beat and the worker tell of each run; warnings stay."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging.Filter."""
        told_by_celery = record.name.startswith("celery.") and record.levelno <= logging.INFO
        return not (told_by_celery and NAME in record.getMessage())
