"""The project's settings with the tasks of these tests, for workers."""

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS

INSTALLED_APPS += ["tests.project"]
