"""Settings of the benchmarks: the project's, with a log line for problems only."""

import logging
import os
import tempfile

directory = tempfile.mkdtemp(prefix="hybrid-tasks-bench-")
os.environ |= {
    "VAR_DIR": directory,
    "DEBUG": "false",
    "SECRET_KEY": "only-for-benchmarks",
    "DATABASE_URL": f"sqlite:///{directory}/db.sqlite3",
    "LOG_LEVEL": "WARNING",
}

from project.settings import *  # noqa: E402, F403

INSTALLED_APPS += ["bench"]  # noqa: F405
TASKS["default"]["OPTIONS"] |= {"max_running": 500}  # noqa: F405
LOGGING["loggers"]["django.tasks"] = {"level": logging.WARNING}  # noqa: F405
