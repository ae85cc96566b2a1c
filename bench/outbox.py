"""python -m bench.outbox: what a durable task costs, against the alternatives, in one run."""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from dev.broker import broker_command
from tests.postgres import running_postgres
from tests.processes import Process, free_port, port_is_open, wait_until

ROUNDS = 3
ROWS = 10_000
CALLS = 1_000  # of what is slower
COROUTINES = 200


def main() -> None:
    """Start a broker and PostgreSQL, and measure each database in a process of its own."""
    with TemporaryDirectory() as name, running_postgres(Path(name), durable=True) as postgres:
        port = free_port()
        env = os.environ | {
            "REDIS_URL": f"redis://127.0.0.1:{port}/0",
            "DJANGO_SETTINGS_MODULE": "bench.outbox_settings",
        }
        with Process(broker_command(port, name), {}, Path(name) / "broker.log"):
            wait_until(lambda: port_is_open(port), "the broker listens")
            for database, url in ("SQLite", None), ("PostgreSQL", postgres.url):
                print(f"{database}, rows or calls a second, medians of {ROUNDS}", flush=True)
                given = env | ({"DATABASE_URL": url} if url else {})
                subprocess.run([sys.executable, "-m", "bench.outbox", "one"], env=given, check=True)


def measure() -> None:
    """Measure all ways in turn, several times; print the medians and ratios."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", "hybrid_tasks", verbosity=0)
    from bench import outbox_peers as peers

    ways = {
        "one INSERT for 100 rows": lambda: peers.bulk_insert(peers.sample_rows(ROWS)),
        "bulk_create of 100 rows": lambda: peers.bulk_create(peers.sample_rows(ROWS)),
        "prepared INSERTs": lambda: peers.prepared_insert(peers.sample_rows(ROWS)),
        "durable aenqueue": lambda: uvloop.run(enqueue(ROWS)),
        "durable, run and removed": lambda: uvloop.run(run_through(ROWS)),
        "django-tasks-db aenqueue": lambda: peers.django_tasks_db(CALLS, COROUTINES),
        "Celery delay": lambda: peers.celery_delay(CALLS),
    }
    figures: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            figures[name].append(way())
    medians = {name: statistics.median(values) for name, values in figures.items()}
    ours = medians["durable aenqueue"]
    for name, median in medians.items():
        print(f"  {name:<26} {median:8,.0f}   durable aenqueue is x {ours / median:.2f}")


async def enqueue(count: int) -> float:
    """Return rows a second of concurrent `aenqueue` calls, of tasks that only wait."""
    from bench.tasks import durable_wait
    from hybrid_tasks.backends.eventloop import serve, workers

    async with serve():
        took = await concurrently(durable_wait, count)
        runner = workers()["default"].runner
        for job in runner.jobs():
            runner.cancel(job.id)
        await until_empty()
    return count / took


async def run_through(count: int) -> float:
    """Return tasks a second from `aenqueue` to the removal of the last row."""
    from bench.tasks import durable_noop
    from hybrid_tasks.backends.eventloop import serve

    async with serve():
        began = time.perf_counter()
        await concurrently(durable_noop, count)
        await until_empty()
        return count / (time.perf_counter() - began)


async def concurrently(task: object, count: int) -> float:
    async def produce() -> None:
        for _ in range(count // COROUTINES):
            await task.aenqueue("x" * 100)  # type: ignore[attr-defined]

    began = time.perf_counter()
    await asyncio.gather(*(produce() for _ in range(COROUTINES)))
    return time.perf_counter() - began


async def until_empty() -> None:
    from hybrid_tasks.backends.eventloop import workers
    from hybrid_tasks.outbox.writer import writer

    while any(worker.runner.running for worker in workers().values()):
        await asyncio.sleep(0.001)
    while not writer().flush(0):
        await asyncio.sleep(0.001)


if __name__ == "__main__":
    if sys.argv[1:] == ["one"]:
        measure()
    else:
        main()
