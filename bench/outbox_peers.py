"""What durable tasks are measured against: a bare INSERT, django-tasks-db and Celery's delay.

To be imported after `django.setup()` with `bench.outbox_settings`, in a process for each database.
"""

import asyncio
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
import uvloop
from celery import shared_task
from django.apps import apps
from django.core.management import call_command
from django.db import connection, transaction
from django.tasks import task

type Row = tuple[Any, ...]

BATCH = 100  # rows of one commit
TEXT = "x" * 300  # an argument that makes a task's message about 500 bytes long

# The columns and indexes that a table of durable tasks needs, and nothing else.
TABLE = """
CREATE TABLE bench_row (
    id char(64) PRIMARY KEY,
    task_path varchar(255) NOT NULL,
    backend varchar(100) NOT NULL,
    queue_name varchar(100) NOT NULL,
    priority smallint NOT NULL,
    state varchar(7) NOT NULL,
    available_at timestamp with time zone NOT NULL,
    claimed_by varchar(100) NOT NULL,
    attempts integer NOT NULL,
    max_attempts integer NOT NULL,
    sends integer NOT NULL,
    message text NOT NULL,
    created_at timestamp with time zone NOT NULL
)
"""
INDEXES = (
    "CREATE INDEX bench_row_due ON bench_row (state, available_at)",
    "CREATE INDEX bench_row_holder ON bench_row (claimed_by)",
)
INSERT = f"INSERT INTO bench_row VALUES ({', '.join(['%s'] * 13)})"  # noqa: S608


@task(backend="database")
def database_noop(text: str) -> None:
    return None


@shared_task(ignore_result=True)
def celery_noop(text: str) -> None:
    return None


def sample_rows(count: int) -> list[Row]:
    """Return rows for `bulk_insert`, each with a message of about 500 bytes."""
    now = datetime.now(UTC).isoformat()
    path, backend, queue, holder = "bench.tasks.noop", "default", "default", "loop@host-1"
    rest = (path, backend, queue, 0, "CLAIMED", now, holder, 0, 5, 0, "x" * 500, now)
    return [(uuid.uuid4().hex, *rest) for _ in range(count)]


def bulk_insert(rows: Sequence[Row]) -> float:
    """Return rows a second that plain INSERTs write, one commit for each batch: the limit."""
    with connection.cursor() as cursor:
        for statement in (TABLE, *INDEXES):
            cursor.execute(statement)
    began = time.perf_counter()
    for first in range(0, len(rows), BATCH):
        insert(rows[first : first + BATCH])
    rate = len(rows) / (time.perf_counter() - began)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE bench_row")
    return rate


def insert(rows: Sequence[Row]) -> None:
    # On both databases quicker than one statement with VALUES for all rows.
    with transaction.atomic(), quick_cursor() as cursor:
        cursor.executemany(INSERT, rows)


def quick_cursor() -> Any:
    """Return a cursor that parses a statement once, not for each row as Django's for psycopg."""
    if connection.vendor != "postgresql":
        return connection.cursor()
    connection.connection.prepare_threshold = 5  # psycopg's own default
    return psycopg.Cursor(connection.connection)


def django_tasks_db(count: int, coroutines: int = 200) -> float:
    """Return tasks a second that concurrent `aenqueue` calls store with django-tasks-db."""
    call_command("migrate", "django_tasks_database", verbosity=0)

    async def enqueue() -> None:
        for _ in range(count // coroutines):
            await database_noop.aenqueue(TEXT)

    async def measure() -> float:
        began = time.perf_counter()
        await asyncio.gather(*(enqueue() for _ in range(coroutines)))
        return count / (time.perf_counter() - began)

    rate = uvloop.run(measure())
    model = apps.get_app_config("django_tasks_database").get_model("DBTaskResult")
    stored, _ = model._default_manager.all().delete()
    if stored != count:
        raise RuntimeError(f"django-tasks-db stored {stored} of {count} tasks.")
    return rate


def celery_delay(count: int) -> float:
    """Return calls a second of Celery's `delay`, each of which sends one message to the broker."""
    began = time.perf_counter()
    for _ in range(count):
        celery_noop.delay(TEXT)
    return count / (time.perf_counter() - began)
