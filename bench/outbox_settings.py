"""Settings for durable tasks and their peers: the project's, on the database of DATABASE_URL.

Without DATABASE_URL that is an SQLite file of its own, with the project's settings for SQLite.
"""

import atexit
import logging
import os
import shutil
import tempfile

directory = tempfile.mkdtemp(prefix="hybrid-tasks-bench-")
atexit.register(shutil.rmtree, directory, ignore_errors=True)
os.environ |= {
    "VAR_DIR": directory,
    "DEBUG": "false",
    "SECRET_KEY": "only-for-benchmarks",
    "LOG_LEVEL": "WARNING",
}

from project.settings import *  # noqa: E402, F403

INSTALLED_APPS += ["bench", "django_tasks_db"]  # noqa: F405
TASKS["database"] = {"BACKEND": "django_tasks_db.DatabaseBackend"}  # noqa: F405
# The tasks that only wait are cancelled in the end, each with a traceback.
LOGGING["loggers"]["django.tasks"] = {"level": logging.CRITICAL}  # noqa: F405
