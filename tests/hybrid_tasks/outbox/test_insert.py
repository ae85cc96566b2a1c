"""Rows on their way into the table."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from hybrid_tasks.outbox import inserts, table
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.results import states
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.outbox.rows import LEASE, State, about, make, row, seconds_left

pytestmark = pytest.mark.usefixtures("database")


def test_a_claimed_row_is_its_holders_for_the_lease() -> None:
    result = make(tasks.succeed_at, priority=7)
    inserts.insert([NewRow(result, holder="me", lease=LEASE)])
    found = row(result.id)
    assert (found.state, found.claimed_by) == (State.CLAIMED, "me")
    assert (found.attempts, found.max_attempts, found.sends, found.priority) == (0, 3, 0, 7)
    assert (found.task_path, found.queue_name) == (tasks.succeed_at.module_path, "default")
    assert about(result.id, LEASE)


def test_the_message_brings_the_result_back() -> None:
    result = make(max_attempts=4, timeout=2.5)
    inserts.insert([NewRow(result)])
    assert states.decode(row(result.id).message) == result


def test_a_row_without_a_holder_is_due_at_once() -> None:
    result = make()
    inserts.insert([NewRow(result)])
    assert (row(result.id).state, row(result.id).claimed_by) == (State.WAITING, "")
    assert [found.pk for found in table.rows().due()] == [result.id]


def test_a_scheduled_row_waits_for_its_time() -> None:
    result = make()
    inserts.insert([NewRow(result, run_after=timezone.now() + timedelta(seconds=LEASE))])
    assert row(result.id).state == State.WAITING
    assert about(result.id, LEASE)
    assert not table.rows().due().exists()


def test_rows_of_all_kinds_share_one_call() -> None:
    claimed, waiting, scheduled = make(), make(), make()
    run_after = timezone.now() + timedelta(seconds=LEASE)
    inserts.insert(
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
    inserts.insert(NewRow(make()) for _ in range(1200))
    assert table.rows().count() == 1200


def test_what_is_there_already_stays_as_it_is() -> None:
    """The answer to a commit may be lost; the writer then inserts once more."""
    there, new = make(), make()
    inserts.insert([NewRow(there, holder="me", lease=LEASE)])
    inserts.insert([NewRow(there), NewRow(new)])
    assert (row(there.id).state, row(there.id).claimed_by) == (State.CLAIMED, "me")
    assert row(new.id).state == State.WAITING


def test_a_rollback_leaves_nothing() -> None:
    with transaction.atomic(table.alias()):
        inserts.insert([NewRow(make())])
        transaction.set_rollback(True, table.alias())
    assert not table.rows().exists()


def test_text_of_all_kinds_survives() -> None:
    made = states.make(tasks.echo.using(durable=True), ["% %s \x00 \"' 🥩"], {"ä": None}, "default")
    inserts.insert([NewRow(made)])
    assert states.decode(row(made.id).message) == made
