"""The project's settings, with fewer places on the event loop than a test has orders."""

from project.settings import *  # noqa: F403
from project.settings import TASKS

TASKS["default"]["OPTIONS"]["max_running"] = 4
