"""The contract's fixtures, with a worker that knows the unfriendly tasks, too."""

from collections.abc import Iterator

import pytest
from django.db import connections

from project.settings import next_redis_database
from tests.conftest import BIN
from tests.hybrid_tasks.contract.conftest import (  # noqa: F401 - fixtures
    Ledger,
    backend_name,
    contract,
    ledger,
    outbox_alias,
    outbox_open,
    shared_settings,
)
from tests.hybrid_tasks.contract.test_durable import relaying  # noqa: F401 - a fixture
from tests.processes import Process

TASKS = "tests.hybrid_tasks.tasks,tests.hybrid_tasks.unfriendly.tasks"


@pytest.fixture(scope="session")
def worker(
    tmp_path_factory: pytest.TempPathFactory,
    broker_url: str,
    ledger: Ledger,  # noqa: F811 - a fixture is asked for by its name
    outbox_alias: str,  # noqa: F811
) -> Iterator[Process]:
    directory = tmp_path_factory.mktemp("unfriendly")
    env = {
        "DJANGO_SETTINGS_MODULE": "tests.hybrid_tasks.patient_settings",
        "VAR_DIR": str(directory),
        "DATABASE_URL": f"sqlite:///{connections[outbox_alias].settings_dict['NAME']}",
        "REDIS_URL": broker_url,
        "CACHE_URL": next_redis_database(broker_url),
        "LOG_LEVEL": "INFO",
        "LEDGER": str(ledger.path),
    }
    command = [str(BIN / "celery"), "-A", "project", "worker", "--concurrency", "2"]
    with Process([*command, "--include", TASKS], env, directory / "log") as process:
        process.wait_for(" ready.")
        yield process
