"""Settings of the project whose processes, broker and database the fault suite breaks."""

import os
from datetime import UTC, datetime, timedelta

import time_machine

from tests.documented import TITLES, broker_settings
from tests.loop.settings import *  # noqa: F403
from tests.loop.settings import BROKER_URL, INSTALLED_APPS, TASKS, env

INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults"]

if kind := os.environ.get("RABBITMQ"):
    globals().update(broker_settings(TITLES[kind]))
CELERY_BROKER_URL = BROKER_URL  # which has to be that: a worker prefers the variable

ROOT_URLCONF = "tests.faults.urls"

for backend in TASKS.values():
    # Callers wait for a database that hangs with its machine: who is refused has to be meant.
    given = {"lease": env.float("LEASE", 5.0), "outbox_timeout": 20.0}
    backend["OPTIONS"] = {**given, **backend["OPTIONS"]}

if hours_ahead := env.int("CLOCK_HOURS", 0):
    wrong = datetime.now(UTC) + timedelta(hours=hours_ahead)
    time_machine.travel(wrong, tick=True).start()
