"""The project's settings, told by an environment that no developer's own one changes.

With TEST_DATABASE_URL, which tests.on_postgres sets, the tests run on that server.
"""

import copy
import os
import tempfile

directory = tempfile.mkdtemp(prefix="smokehouse-tests-")

os.environ |= {
    "VAR_DIR": directory,
    "DEBUG": "true",
    "SECRET_KEY": "only-for-tests",
    "DATABASE_URL": os.environ.get("TEST_DATABASE_URL", f"sqlite:///{directory}/db.sqlite3"),
    # Nothing listens there: a test that wants a broker asks for one.
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "OUTGOING_URL": "http://127.0.0.1:1/",
    "STEP_SECONDS": "0",
    "RETRY_SECONDS": "0",
    "RATE_LIMIT_URL": "async+memory://",
    "POST_RATE": "1000/minute",
    "EXAMPLE_RATE": "1000/minute",
    "SERVE_EXAMPLES": "true",
    "DRAIN_TIMEOUT": "20",
    "HTTPS_ONLY": "false",
    "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    "LOG_LEVEL": "INFO",
    "FLOWER_URL": "",
    # Tests that make dead letters count all rows that come of it.
    "DEAD_LETTER_MINUTES": "0",
}

from project.settings import *  # noqa: E402, F403

# In this process only: results need no broker, and what cannot run here is an error at once.
# Dictionaries of their own: tests that mean the project's take them from the project's settings.
CACHES = {
    **CACHES,  # noqa: F405
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
}
TASKS = copy.deepcopy(TASKS)  # noqa: F405
for alias in ("default", "mail", "examples"):
    TASKS[alias]["OPTIONS"]["overflow"] = None
if "TEST_DATABASE_URL" not in os.environ:
    # A file, which other processes and threads of the tests can open; in memory they share its
    # locks.
    DATABASES["default"]["TEST"] = {"NAME": f"{directory}/test.sqlite3"}  # noqa: F405
