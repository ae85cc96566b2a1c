"""What durable tasks are measured against: bare INSERTs, django-tasks-db and Celery's delay.

To be imported after `django.setup()` with `bench.outbox_settings`, in a process for each database.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
import uvloop
from celery import shared_task
from django.apps import apps
from django.core.management import call_command
from django.db import connection, transaction
from django.tasks import task

from bench.tasks import durable_noop
from hybrid_tasks.outbox import inserts, table
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.results import states

type Row = tuple[Any, ...]

BATCH = 100  # rows of one commit
TEXT = "x" * 100  # an argument that makes a task's message about 700 bytes long

COLUMNS = (*inserts.COLUMNS, "available_at", "created_at")
INTO = f"INSERT INTO hybrid_tasks_outboxtask ({', '.join(COLUMNS)}) VALUES"
MARKS = f"({', '.join(['%s'] * len(COLUMNS))})"


@task(backend="database")
def database_noop(text: str) -> None:
    return None


@shared_task(ignore_result=True)
def celery_noop(text: str) -> None:
    return None


def sample_rows(count: int) -> list[Row]:
    """Return rows as durable tasks have them, for the columns of COLUMNS."""
    now = datetime.now(UTC).isoformat()
    made = (states.make(durable_noop, [TEXT], {}, "default") for _ in range(count))
    return [(*NewRow(result, holder="bench", lease=30).values, now, now) for result in made]


def bulk_insert(rows: Sequence[Row]) -> float:
    """Return rows a second of one INSERT and one commit for each 100 rows."""

    def insert(batch: Sequence[Row]) -> None:
        values = ", ".join([MARKS] * len(batch))
        with connection.cursor() as cursor:
            cursor.execute(f"{INTO} {values}", [value for row in batch for value in row])

    return in_batches(insert, rows)


def bulk_create(rows: Sequence[Row]) -> float:
    """Return rows a second of Django's own way: one `bulk_create` and one commit for 100 rows."""
    model = table.model()

    def insert(batch: Sequence[Row]) -> None:
        values = (dict(zip(COLUMNS, row, strict=True)) for row in batch)
        model._default_manager.bulk_create([model(**one) for one in values])

    return in_batches(insert, rows)


def prepared_insert(rows: Sequence[Row]) -> float:
    """Return rows a second of prepared INSERTs, one commit for each 100: as quick as can be."""

    def insert(batch: Sequence[Row]) -> None:
        with quick_cursor() as cursor:
            cursor.executemany(f"{INTO} {MARKS}", batch)

    return in_batches(insert, rows)


def in_batches(insert: Callable[[Sequence[Row]], None], rows: Sequence[Row]) -> float:
    began = time.perf_counter()
    for first in range(0, len(rows), BATCH):
        with transaction.atomic():
            insert(rows[first : first + BATCH])
    rate = len(rows) / (time.perf_counter() - began)
    table.rows().delete()
    return rate


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
