"""Settings for the benchmark of the reports: the project's, in the environment that it makes."""

import logging
import os

os.environ |= {"DEBUG": "false", "SECRET_KEY": "only-for-benchmarks"}
os.environ.setdefault("LOG_LEVEL", "WARNING")

from project.settings import *  # noqa: F403

LOGGING["loggers"]["django.tasks"] = {"level": logging.WARNING}  # noqa: F405
