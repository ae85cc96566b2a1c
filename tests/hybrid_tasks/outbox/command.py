"""manage.py relay_outbox as a person starts it."""

import sys
from pathlib import Path

from project.settings import next_redis_database
from tests.conftest import ROOT
from tests.processes import Process


def relay_outbox(log: Path, database_url: str, broker_url: str, *options: str) -> Process:
    env = {
        "DJANGO_SETTINGS_MODULE": "tests.hybrid_tasks.patient_settings",
        "DATABASE_URL": database_url,
        "REDIS_URL": broker_url,
        "CACHE_URL": next_redis_database(broker_url),
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, str(ROOT / "manage.py"), "relay_outbox", *options]
    return Process(command, env, log)
