"""python -m bench.reports --customers 1000 10000: the run of reports, on PostgreSQL.

For each size: customers a second with two worker processes, with one, and in the plain loop that
one would write first (a query for each customer, a connection for each mail, nothing remembered),
all on the same data; the most memory that a worker process has; and the queries of a chunk.
"""

import argparse
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from dev.broker import broker_command
from tests.conftest import BIN
from tests.postgres import running_postgres
from tests.processes import Process, free_port, port_is_open, wait_until

ORDERS_EACH = 10  # a customer in three months
SINK = "aiosmtpd.handlers.Sink"
PATIENCE = 24 * 3600.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, nargs="+", default=[1_000], metavar="N")
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 1], metavar="N")
    parser.add_argument("--skip-loop", action="store_true", help="do not measure the plain loop")
    options = parser.parse_args()
    with TemporaryDirectory() as name, running_postgres(Path(name)) as postgres:
        broker, smtp = free_port(), free_port()
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "bench.report_settings",
            "DATABASE_URL": postgres.url,
            "REDIS_URL": f"redis://127.0.0.1:{broker}/0",
            "EMAIL_PORT": str(smtp),
            "VAR_DIR": name,
        }
        sink = [str(BIN / "aiosmtpd"), "--nosetuid", "-l", f"127.0.0.1:{smtp}", "-c", SINK]
        with (
            Process(broker_command(broker, name), {}, Path(name) / "broker.log"),
            Process(sink, {}, Path(name) / "mail.log"),
        ):
            wait_until(lambda: port_is_open(broker) and port_is_open(smtp), "the servers listen")
            import django

            django.setup()
            from django.core.management import call_command

            call_command("migrate", verbosity=0)
            for customers in options.customers:
                measure(customers, options.workers, Path(name), plain=not options.skip_loop)


def measure(customers: int, workers: list[int], directory: Path, *, plain: bool) -> None:
    """Print the figures for one size."""
    from django.core.management import call_command

    call_command(
        "seed_demo", "--clear", customers=customers, orders=ORDERS_EACH * customers, verbosity=0
    )
    print(f"{customers:,} customers, {ORDERS_EACH * customers:,} orders in three months")
    rates: dict[int, float] = {}
    for number in workers:
        forget(directory)
        rates[number], memory = run(number, directory)
        print(
            f"  {number} worker(s): {rates[number]:7.1f} customers/s, {memory:.1f} MB at most",
            flush=True,
        )
    if {1, 2} <= rates.keys():
        print(f"  two against one: x {rates[2] / rates[1]:.2f}")
    if plain:
        rate, memory = plain_run(directory)
        print(f"  plain loop:  {rate:7.1f} customers/s, {memory:.1f} MB at most")
    forget(directory)
    print(f"  queries of a chunk: {chunk_queries()}", flush=True)
    forget(directory)


def forget(directory: Path) -> None:
    """Make what was sent unknown, so that it is sent again."""
    from hybrid_tasks.models import OutboxTask
    from reports.models import ReportRun

    ReportRun.objects.all().delete()
    OutboxTask.objects.all().delete()
    shutil.rmtree(directory / "reports", ignore_errors=True)


def run(workers: int, directory: Path) -> tuple[float, float]:
    """Return customers a second, and the megabytes of the largest worker process."""
    from django.utils import timezone

    from reports.models import ReportRun
    from reports.periods import Period
    from reports.runs import control
    from reports.tasks import feeder

    command = [str(BIN / "celery"), "-A", "project", "worker", "--queues", "default,heavy"]
    command += ["--concurrency", str(workers), "--loglevel", "WARNING"]
    with Process(command, {"LOG_LEVEL": "INFO"}, directory / f"worker-{workers}.log") as worker:
        worker.wait_for(" ready.")
        with peak_memory(worker.pid) as peak:
            began = time.perf_counter()
            started = control.start(Period.last_closed(timezone.now()), feeder)
            wait_until(
                lambda: not ReportRun.objects.get(pk=started.pk).is_active,
                "the run has ended",
                PATIENCE,
                pause=0.1,
            )
            took = time.perf_counter() - began
    ended = ReportRun.objects.get(pk=started.pk)
    if (ended.state, ended.done) != ("finished", ended.total):
        raise RuntimeError(f"{ended} is {ended.state}: {ended.failed} failed. {ended.error}")
    return ended.total / took, peak[0]


@contextmanager
def peak_memory(pid: int) -> Iterator[list[float]]:
    """Watch the children of a worker; the list holds the most that one of them had, in megabytes.

    That is what is its own (USS): what the children share with their parent is counted once.
    """
    peak, over = [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            for child in psutil.Process(pid).children(recursive=True):
                try:
                    peak[0] = max(peak[0], child.memory_full_info().uss / 1e6)
                except psutil.Error:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()


def plain_run(directory: Path) -> tuple[float, float]:
    """Return the same figures for the plain loop, in a process of its own."""
    forget(directory)
    command = [sys.executable, "-m", "bench.report_loop"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    rate, memory = map(float, done.stdout.split())
    return rate, memory


def chunk_queries() -> int:
    """Return how many queries the first chunk of a run takes, in this process."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext
    from django.utils import timezone

    from hybrid_tasks.testing import capture_tasks
    from reports.periods import Period
    from reports.runs import chunks, control
    from reports.tasks import feeder

    with capture_tasks():
        started = control.start(Period.last_closed(timezone.now()), feeder)
        chunk = started.chunks.order_by("pk")[0]
        with CaptureQueriesContext(connection) as queries:
            chunks.make_chunk(chunk, lambda _done, _size: None)
    return len(queries)


if __name__ == "__main__":
    main()
