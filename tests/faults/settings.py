"""Settings of the project whose processes, broker and database the fault suite breaks."""

from datetime import UTC, datetime, timedelta

import time_machine

from tests.loop.settings import *  # noqa: F403
from tests.loop.settings import INSTALLED_APPS, TASKS, env

INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults"]
ROOT_URLCONF = "tests.faults.urls"

for backend in TASKS.values():
    # Callers wait for a database that hangs with its machine: who is refused has to be meant.
    given = {"lease": env.float("LEASE", 5.0), "outbox_timeout": 20.0}
    backend["OPTIONS"] = {**given, **backend["OPTIONS"]}

if hours_ahead := env.int("CLOCK_HOURS", 0):
    wrong = datetime.now(UTC) + timedelta(hours=hours_ahead)
    time_machine.travel(wrong, tick=True).start()
