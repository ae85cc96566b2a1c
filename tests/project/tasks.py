"""Tasks for the two queues: heavy ones that end when they are told to, and one that is quick."""

import os
import time
from pathlib import Path

from hybrid_tasks.tasks import task

DIRECTORY = Path(os.environ.get("VAR_DIR", ""))


@task(backend="celery", queue_name="heavy", durable=True)
def hold(number: int) -> None:
    """Compute, as it were, until the file `release` is there."""
    (DIRECTORY / f"held-{number}").touch()
    while not (DIRECTORY / "release").exists():
        time.sleep(0.05)
    (DIRECTORY / f"released-{number}").touch()


@task(backend="celery", durable=True)
def pass_by() -> None:
    (DIRECTORY / "passed").touch()
