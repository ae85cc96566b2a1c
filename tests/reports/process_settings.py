"""The project's settings for processes that the tests kill: what they held is rescued sooner."""

from project.settings import *  # noqa: F403

TASKS["celery"]["OPTIONS"] = {"lease": 3.0}  # noqa: F405
