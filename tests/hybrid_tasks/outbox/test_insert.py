"""Rows on their way into the table."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from hybrid_tasks import outbox_insert, outbox_table, results
from hybrid_tasks.outbox_insert import NewRow
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.outbox.rows import LEASE, State, about, make, row, seconds_left

pytestmark = pytest.mark.usefixtures("database")


def test_a_claimed_row_is_its_holders_for_the_lease() -> None:
    result = make(tasks.succeed_at, priority=7)
    outbox_insert.insert([NewRow(result, holder="me", lease=LEASE)])
    found = row(result.id)
    assert (found.state, found.claimed_by) == (State.CLAIMED, "me")
    assert (found.attempts, found.max_attempts, found.sends, found.priority) == (0, 3, 0, 7)
    assert (found.task_path, found.queue_name) == (tasks.succeed_at.module_path, "default")
    assert about(result.id, LEASE)


def test_the_message_brings_the_result_back() -> None:
    result = make(max_attempts=4, timeout=2.5)
    outbox_insert.insert([NewRow(result)])
    assert results.decode(row(result.id).message) == result


def test_a_row_without_a_holder_is_due_at_once() -> None:
    result = make()
    outbox_insert.insert([NewRow(result)])
    assert (row(result.id).state, row(result.id).claimed_by) == (State.WAITING, "")
    assert [found.pk for found in outbox_table.rows().due()] == [result.id]


def test_a_scheduled_row_waits_for_its_time() -> None:
    result = make()
    outbox_insert.insert([NewRow(result, run_after=timezone.now() + timedelta(seconds=LEASE))])
    assert row(result.id).state == State.WAITING
    assert about(result.id, LEASE)
    assert not outbox_table.rows().due().exists()


def test_rows_of_all_kinds_share_one_call() -> None:
    claimed, waiting, scheduled = make(), make(), make()
    run_after = timezone.now() + timedelta(seconds=LEASE)
    outbox_insert.insert(
        [
            NewRow(claimed, holder="me", lease=LEASE),
            NewRow(waiting),
            NewRow(scheduled, run_after=run_after),
        ]
    )
    assert row(claimed.id).state == State.CLAIMED
    assert seconds_left(waiting.id) <= 0
    assert about(claimed.id, LEASE)
    assert about(scheduled.id, LEASE)


def test_more_rows_than_one_statement_holds() -> None:
    outbox_insert.insert(NewRow(make()) for _ in range(1200))
    assert outbox_table.rows().count() == 1200


def test_what_is_there_already_stays_as_it_is() -> None:
    """The answer to a commit may be lost; the writer then inserts once more."""
    there, new = make(), make()
    outbox_insert.insert([NewRow(there, holder="me", lease=LEASE)])
    outbox_insert.insert([NewRow(there), NewRow(new)])
    assert (row(there.id).state, row(there.id).claimed_by) == (State.CLAIMED, "me")
    assert row(new.id).state == State.WAITING


def test_a_rollback_leaves_nothing() -> None:
    with transaction.atomic(outbox_table.alias()):
        outbox_insert.insert([NewRow(make())])
        transaction.set_rollback(True, outbox_table.alias())
    assert not outbox_table.rows().exists()


def test_text_of_all_kinds_survives() -> None:
    made = results.make(
        tasks.echo.using(durable=True), ["% %s \x00 \"' 🥩"], {"ä": None}, "default"
    )
    outbox_insert.insert([NewRow(made)])
    assert results.decode(row(made.id).message) == made
