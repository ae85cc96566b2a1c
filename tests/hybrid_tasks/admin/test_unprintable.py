"""The admin shows rows whatever they hold."""

import json
from typing import Any

import pytest
from django.test import Client

from hybrid_tasks.models import OutboxTask
from hybrid_tasks.outbox import inserts
from hybrid_tasks.outbox.inserts import NewRow
from hybrid_tasks.results import states
from tests.hybrid_tasks import tasks
from tests.hybrid_tasks.admin.test_outbox import LIST

pytestmark = pytest.mark.django_db

HALF = "\ud800 half a pair \udfff"


def row_of(*args: Any, error: str = "", **metadata: Any) -> OutboxTask:
    task = tasks.echo.using(durable=True, metadata=metadata)
    result = states.make(task, args, {"word": args}, "default")
    inserts.insert([NewRow(result)])
    failed = states.failed(result, ValueError(error))
    found = OutboxTask.objects.filter(pk=result.id)
    found.update(state=OutboxTask.State.DEAD, message=states.encode(failed))
    return found.get()


@pytest.mark.parametrize(
    "row",
    [
        lambda: row_of(HALF),
        lambda: row_of({HALF: [HALF]}),
        lambda: row_of(error=HALF),
        lambda: row_of(progress={"note": HALF, "done": 1, "total": 2}),
        lambda: row_of("\x00\x1b[31m"),
        lambda: row_of(float("nan"), float("inf"), 10**4000),
    ],
    ids=["argument", "key", "error", "metadata", "control", "numbers"],
)
def test_what_cannot_be_encoded_is_shown(row: Any, admin_client: Client) -> None:
    """C25: the page of a row failed on half a surrogate pair."""
    found = row()
    for page in (LIST, f"{LIST}{found.pk}/change/", f"{LIST}{found.pk}/history/"):
        response = admin_client.get(page)
        assert response.status_code == 200, page
        assert found.pk in response.content.decode()


@pytest.mark.parametrize(
    "message", ["", "{}", "[]", "no JSON", '{"errors": 5, "task": 5}', '{"errors": [5, [1, 2]]}']
)
def test_what_is_no_message_is_shown(message: str, admin_client: Client) -> None:
    """C25: nor is one that no version of the code has written."""
    found = row_of()
    OutboxTask.objects.filter(pk=found.pk).update(message=message)
    for page in (LIST, f"{LIST}{found.pk}/change/"):
        assert admin_client.get(page).status_code == 200, page


def test_a_message_of_a_later_version_is_shown(admin_client: Client) -> None:
    """C19: with what this one does not know."""
    found = row_of("ribs")
    content = json.loads(found.message) | {"later": {"a": 1}}
    content["task"]["path"] = "later.tasks.smoke"
    OutboxTask.objects.filter(pk=found.pk).update(message=json.dumps(content))
    response = admin_client.get(f"{LIST}{found.pk}/change/")
    assert response.status_code == 200
    assert "ribs" in response.content.decode()
