"""The project's settings for processes beside the tests' own.

A machine that hangs for some seconds is no broker that is away.
"""

from project.settings import *  # noqa: F403
from project.settings import CACHES, CELERY_BROKER_TRANSPORT_OPTIONS
from tests.processes import PATIENCE

CACHES["default"]["OPTIONS"] = {"socket_timeout": PATIENCE}  # type: ignore[assignment]
CELERY_BROKER_TRANSPORT_OPTIONS["socket_timeout"] = int(PATIENCE)
