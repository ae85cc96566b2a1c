"""The project's settings for processes that the tests kill: what they held is rescued sooner."""

from project.settings import *  # noqa: F403
from project.settings import CELERY_BROKER_TRANSPORT_OPTIONS, TASKS, env

# A machine that hangs for some seconds is no broker that does.
CELERY_BROKER_TRANSPORT_OPTIONS |= {"socket_connect_timeout": 60, "socket_timeout": 60}
TASKS["celery"]["OPTIONS"] = {"lease": env.float("LEASE", 5.0)}
