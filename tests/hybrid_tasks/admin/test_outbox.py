"""The outbox in Django's admin, as a browser gets it."""

import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.tasks import TaskResultStatus, default_task_backend
from django.test import Client
from django.urls import path

from hybrid_tasks.admin import operations
from hybrid_tasks.admin.outbox import OutboxTaskAdmin
from hybrid_tasks.models import OutboxTask
from hybrid_tasks.outbox.clock import After
from hybrid_tasks.relay import interventions
from hybrid_tasks.results import states
from tests.conftest import ROOT
from tests.hybrid_tasks import tasks

pytestmark = pytest.mark.django_db

INDEX = "/admin/"
LIST = "/admin/hybrid_tasks/outboxtask/"
HOUR = timedelta(hours=1)
EVIL = "<script>alert(1)</script>"

State, Standing = OutboxTask.State, OutboxTask.Standing

# A project with an admin of its own beside the usual one.
office = admin.AdminSite("office")
office.register(OutboxTask, OutboxTaskAdmin)
urlpatterns = [path("admin/", admin.site.urls), path("office/", office.urls)]


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    cache.clear()


def user_with(*permissions: str) -> Client:
    """Return the browser of a member of staff who may do that with the outbox."""
    user = User.objects.create_user(" ".join(["may", *permissions]), is_staff=True)
    codenames = [f"{permission}_outboxtask" for permission in permissions]
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator() -> Client:
    return user_with("view", "change", "delete")


def add(
    state: str, *, hours: int = -1, args: tuple[Any, ...] = (), errors: int = 0, **values: Any
) -> OutboxTask:
    """Put a row into the outbox that is available that many hours from now."""
    due = states.now() + hours * HOUR
    task = tasks.echo.using(run_after=due, metadata={"origin": EVIL})
    result = states.make(task, args, {}, "default")
    for number in range(errors):
        result = states.to_retry(result, ValueError(f"{EVIL} {number}"))
    if state == State.DEAD:
        result = states.failed(states.started(result, "w1"), ValueError(EVIL))
        default_task_backend.store.save([result])  # type: ignore[attr-defined]
    return OutboxTask.objects.create(
        **{
            "id": result.id,
            "task_path": result.task.module_path,
            "backend": "default",
            "queue_name": "default",
            "max_attempts": 5,
            "message": states.encode(result),
        }
        | values,
        state=state,
        available_at=After((hours * HOUR).total_seconds()),
    )


def add_one_of_each() -> dict[str, OutboxTask]:
    return {
        Standing.WAITING: add(State.WAITING),
        Standing.SCHEDULED: add(State.WAITING, hours=1),
        Standing.CLAIMED: add(State.CLAIMED, hours=1, claimed_by="web-1"),
        Standing.ABANDONED: add(State.CLAIMED, claimed_by="web-2"),
        Standing.SENT: add(State.SENT, hours=1),
        Standing.DEAD: add(State.DEAD, attempts=5, claimed_by="web-3"),
    }


def page(row: OutboxTask, operation: str = "change") -> str:
    return f"{LIST}{row.pk}/{operation}/"


def listed(client: Client, query: str = "") -> set[str]:
    """Return the ids of the rows that the list shows."""
    return {row.pk for row in client.get(f"{LIST}?{query}").context["cl"].result_list}


def text(response: Any) -> str:
    content: bytes = response.content
    return content.decode()


def told(response: Any) -> list[str]:
    """Return the messages on a page."""
    return [str(message) for message in response.context["messages"]]


def select(client: Client, action: str, *rows: OutboxTask, **fields: str) -> Any:
    data = {"action": f"{action}_selected", "_selected_action": [row.pk for row in rows]}
    return client.post(LIST, data | fields, follow=True)


def remaining() -> set[str]:
    return set(OutboxTask.objects.values_list("pk", flat=True))


# --- What is shown -------------------------------------------------------------------------------


def test_each_state_has_its_filter_and_its_name(operator: Client) -> None:
    rows = add_one_of_each()
    for standing, row in rows.items():
        assert listed(operator, f"standing={standing}") == {row.pk}, standing
    response = operator.get(LIST)
    shown = {row.pk: row.standing for row in response.context["cl"].result_list}
    assert shown == {row.pk: standing for standing, row in rows.items()}
    assert all(f">{standing.label}</span>" in text(response) for standing in Standing)


def test_unknown_state_in_the_address_filters_nothing(operator: Client) -> None:
    add_one_of_each()
    assert len(listed(operator, "standing=delete")) == 6


def test_filters_by_task_backend_and_queue(operator: Client) -> None:
    add(State.WAITING)
    row = add(State.WAITING, task_path="shop.pay", backend="celery", queue_name="reports")
    for query in ("task_path=shop.pay", "backend=celery", "queue_name=reports"):
        assert listed(operator, query) == {row.pk}


def test_searches_by_id_and_by_part_of_the_task(operator: Client) -> None:
    row, other = add(State.WAITING), add(State.WAITING, task_path="shop.pay")
    assert listed(operator, f"q={row.pk}") == {row.pk}
    assert listed(operator, f"q={row.pk[:10]}") == set()
    assert listed(operator, "q=shop") == {other.pk}


def test_list_tells_attempts_last_error_and_what_a_time_means(operator: Client) -> None:
    add(State.WAITING, hours=1, attempts=2, errors=2)
    content = text(operator.get(LIST))
    assert "2 of 5" in content
    assert ">ValueError<" in content
    assert "due at <time" in content


def test_list_takes_as_few_queries_for_many_rows(
    operator: Client, django_assert_max_num_queries: Any
) -> None:
    for _ in range(20):
        add(State.WAITING, errors=1)
    with django_assert_max_num_queries(12) as queries:
        operator.get(LIST)
    counts = [query for query in queries.captured_queries if "COUNT" in query["sql"]]
    assert len(counts) == 1


def test_empty_list_says_so(operator: Client) -> None:
    assert "The outbox is empty" in text(operator.get(LIST))
    add(State.WAITING)
    assert "No task in the outbox is like this" in text(operator.get(f"{LIST}?standing=dead"))


def test_page_shows_arguments_and_every_traceback_escaped(operator: Client) -> None:
    row = add(State.DEAD, args=({"meat": EVIL},), errors=2, claimed_by="web-3")
    content = text(operator.get(page(row)))
    assert EVIL not in content
    escaped = "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert f"&quot;meat&quot;: &quot;{escaped}&quot;" in content
    assert f"&quot;origin&quot;: &quot;{escaped}&quot;" in content
    for error in (f"{escaped} 0", f"{escaped} 1", escaped):
        assert f"ValueError: {error}\n</pre>" in content
    assert "<h3>3. builtins.ValueError</h3>" in content
    assert all(part in content for part in ("web-3", "w1", "Dead letter", "failed at <time"))


@pytest.mark.parametrize("message", [f"{EVIL} no JSON", f'["{EVIL}"]'])
def test_row_whose_message_cannot_be_read_is_shown_as_it_is(operator: Client, message: str) -> None:
    row = add(State.WAITING, message=message)
    assert operator.get(LIST).status_code == 200
    content = text(operator.get(page(row)))
    assert "Unreadable message" in content
    assert EVIL not in content
    assert "&lt;script&gt;" in content


def test_nothing_is_added_edited_or_deleted(operator: Client) -> None:
    row = add(State.DEAD)
    assert operator.get(f"{LIST}add/").status_code == 403
    assert operator.post(page(row), {"state": "WAITING"}).status_code == 403
    assert operator.post(page(row, "delete"), {"post": "yes"}).status_code == 403
    content = text(operator.get(page(row)))
    assert "Save" not in content
    assert "deletelink" not in content
    assert "delete_selected" not in text(operator.get(LIST))
    assert OutboxTask.objects.get(pk=row.pk).state == State.DEAD


# --- What can be done ----------------------------------------------------------------------------


def test_retry_asks_first(operator: Client) -> None:
    row = add(State.DEAD)
    response = select(operator, "retry", row)
    content = text(response)
    assert response.templates[0].name == "hybrid_tasks/outbox_confirmation.html"
    assert row.pk in content
    assert "all its attempts again" in content
    assert OutboxTask.objects.get(pk=row.pk).state == State.DEAD


def test_retried_dead_letter_is_due_and_its_result_ready(operator: Client) -> None:
    row = add(State.DEAD, attempts=5, claimed_by="web-3")
    assert default_task_backend.get_result(row.pk).status == TaskResultStatus.FAILED
    response = select(operator, "retry", row, post="yes")
    assert told(response) == ["1 task: due now: the relay sends it when it next runs."]
    [due] = OutboxTask.objects.due()
    assert (due.pk, due.state, due.attempts, due.claimed_by) == (row.pk, State.WAITING, 0, "")
    found = default_task_backend.get_result(row.pk)
    assert found.status == TaskResultStatus.READY
    assert len(found.errors) == 1
    [entry] = LogEntry.objects.all()
    assert (entry.object_id, entry.is_change()) == (row.pk, True)


def test_retried_scheduled_task_does_not_wait_for_its_time(operator: Client) -> None:
    row = add(State.WAITING, hours=1, errors=1, attempts=1)
    select(operator, "retry", row, post="yes")
    [due] = OutboxTask.objects.due()
    assert (due.pk, due.attempts) == (row.pk, 1)
    # Or the broker would be told to wait.
    assert states.decode(due.message).task.run_after is None


def test_dead_letter_whose_task_is_gone_is_retried_all_the_same(operator: Client) -> None:
    row = add(State.DEAD)
    content = row.message.replace(row.task_path, "gone.task")
    OutboxTask.objects.update(message=content, task_path="gone.task")
    assert len(told(select(operator, "retry", row, post="yes"))) == 1
    assert OutboxTask.objects.get(pk=row.pk).state == State.WAITING


def test_retry_goes_on_without_the_cache(operator: Client, settings: Any) -> None:
    row = add(State.DEAD)
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1",
        }
    }
    select(operator, "retry", row, post="yes")
    assert OutboxTask.objects.get(pk=row.pk).state == State.WAITING


def test_retry_refuses_what_others_hold(operator: Client) -> None:
    rows = add_one_of_each()
    held = [rows[one] for one in (Standing.CLAIMED, Standing.ABANDONED, Standing.SENT)]
    before = list(OutboxTask.objects.order_by("pk").values())
    response = select(operator, "retry", *held, post="yes")
    assert sorted(told(response)) == [
        "1 task: left alone (Claimed), as a process has claimed it and runs it, or is about to.",
        "1 task: left alone (Sent), as it was sent to the broker and waits for a worker.",
        "1 task: left alone (Waiting for rescue), as the relay rescues it when it next runs.",
    ]
    assert list(OutboxTask.objects.order_by("pk").values()) == before


def test_discard_asks_first_and_says_what_it_refuses(operator: Client) -> None:
    rows = add_one_of_each()
    content = text(select(operator, "discard", *rows.values()))
    assert "Discard: 5 tasks" in content
    assert "1 task: left alone (Claimed)" in content
    assert len(remaining()) == 6


def test_discard_removes_all_but_what_runs(operator: Client) -> None:
    rows = add_one_of_each()
    response = select(operator, "discard", *rows.values(), post="yes")
    assert told(response)[0] == "5 tasks: discarded."
    assert remaining() == {rows[Standing.CLAIMED].pk}
    assert {entry.action_flag for entry in LogEntry.objects.all()} == {3}
    assert LogEntry.objects.count() == 5


def test_discarded_task_that_had_not_failed_was_cancelled(operator: Client) -> None:
    dead, waiting = add(State.DEAD), add(State.WAITING)
    select(operator, "discard", dead, waiting, post="yes")
    for row, error in ((dead, "builtins.ValueError"), (waiting, "TaskCancelled")):
        found = default_task_backend.get_result(row.pk)
        assert found.status == TaskResultStatus.FAILED
        assert found.errors[-1].exception_class_path.endswith(error)


def test_all_that_a_filter_finds_is_done_at_once(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "LISTED", 2)
    monkeypatch.setattr(interventions, "BATCH", 2)
    waiting = add(State.WAITING)
    dead = [add(State.DEAD) for _ in range(5)]
    data = {"action": "discard_selected", "select_across": "1", "_selected_action": dead[0].pk}
    asked = text(operator.post(f"{LIST}?standing=dead", data | {"index": "0"}))
    assert "And 3 more." in asked
    assert '<input type="hidden" name="select_across" value="1">' in asked
    assert asked.count('name="_selected_action"') == 1
    operator.post(f"{LIST}?standing=dead", data | {"post": "yes"})
    assert remaining() == {waiting.pk}


def test_row_that_was_claimed_after_the_question_is_left_alone(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = add(State.WAITING)
    locked = interventions.discard_batch

    def claimed_just_before(ids: Any) -> list[str]:
        OutboxTask.objects.update(state=State.CLAIMED, available_at=After(60))
        return locked(ids)

    monkeypatch.setattr(interventions, "discard_batch", claimed_just_before)
    response = select(operator, "discard", row, post="yes")
    assert told(response) == ["1 task: left alone, as it changed meanwhile."]
    assert remaining() == {row.pk}


@pytest.mark.parametrize("operation", ["retry", "discard"])
def test_buttons_of_a_page_ask_first(operator: Client, operation: str) -> None:
    row = add(State.DEAD)
    address = page(row, operation)
    assert f'href="{address}"' in text(operator.get(page(row)))
    asked = operator.get(address)
    assert row.pk in text(asked)
    assert f'href="{page(row)}"' in text(asked)
    assert OutboxTask.objects.get(pk=row.pk).state == State.DEAD
    response = operator.post(address, {"post": "yes"}, follow=True)
    assert response.redirect_chain == [(LIST, 302)]
    assert len(told(response)) == 1
    left = list(OutboxTask.objects.values_list("state", flat=True))
    assert left == ([State.WAITING] if operation == "retry" else [])


def test_page_of_a_task_that_runs_offers_nothing_and_refuses(operator: Client) -> None:
    row = add(State.CLAIMED, hours=1)
    assert "outbox-operation" not in text(operator.get(page(row)))
    for operation in ("retry", "discard"):
        response = operator.post(page(row, operation), {"post": "yes"}, follow=True)
        assert "left alone (Claimed)" in told(response)[0]
    assert OutboxTask.objects.get(pk=row.pk).state == State.CLAIMED


def test_row_that_is_gone_is_told(operator: Client) -> None:
    row = add(State.DEAD)
    address = page(row, "retry")
    row.delete()
    response = operator.post(address, {"post": "yes"}, follow=True)
    assert told(response) == ["This task is not in the outbox any more."]


def test_forged_request_is_refused() -> None:
    row = add(State.DEAD)
    operator = user_with("view", "change", "delete")
    operator.handler.enforce_csrf_checks = True
    assert operator.post(page(row, "discard"), {"post": "yes"}).status_code == 403
    assert remaining() == {row.pk}


# --- Who may do what -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("permissions", "offered"),
    [
        (("view",), set()),
        (("view", "change"), {"retry"}),
        (("view", "delete"), {"discard"}),
        (("view", "change", "delete"), {"retry", "discard"}),
    ],
)
def test_operations_need_their_permissions(permissions: tuple[str, ...], offered: set[str]) -> None:
    row = add(State.DEAD)
    client = user_with(*permissions)
    for operation in ("discard", "retry"):
        may = operation in offered
        assert (f"{operation}_selected" in text(client.get(LIST))) is may
        assert (page(row, operation) in text(client.get(page(row)))) is may
        assert client.get(page(row, operation)).status_code == (200 if may else 403)
        if not may:
            select(client, operation, row, post="yes")
            assert client.post(page(row, operation), {"post": "yes"}).status_code == 403
    assert OutboxTask.objects.get(pk=row.pk).state == State.DEAD


def test_outbox_is_closed_to_staff_without_permission() -> None:
    row = add(State.DEAD)
    client = user_with()
    for address in (LIST, page(row), page(row, "retry"), page(row, "discard")):
        assert client.get(address).status_code == 403


# --- The warning ---------------------------------------------------------------------------------


def test_index_warns_of_dead_letters(operator: Client) -> None:
    add(State.WAITING)
    assert told(operator.get(INDEX)) == []
    for _ in range(3):
        add(State.DEAD)
    for address in (INDEX, f"{INDEX}hybrid_tasks/"):
        response = operator.get(address)
        warning = f'<a href="{LIST}?standing=dead">3 dead letters in the outbox</a>'
        assert told(response) == [warning]
        assert f'<li class="warning">{warning}</li>' in text(response)
    assert told(operator.get(LIST)) == []


def test_index_counts_one_dead_letter_in_the_singular(operator: Client) -> None:
    add(State.DEAD)
    assert "1 dead letter in the outbox" in text(operator.get(INDEX))


def test_index_warns_only_who_may_look() -> None:
    add(State.DEAD)
    response = user_with("delete").get(INDEX)
    assert response.status_code == 200
    assert "dead letter" not in text(response)


@pytest.mark.urls(__name__)
def test_warning_appears_in_a_projects_own_admin(operator: Client) -> None:
    add(State.DEAD)
    assert '"/office/hybrid_tasks/outboxtask/?standing=dead"' in text(operator.get("/office/"))
    assert f'"{LIST}?standing=dead"' in text(operator.get(INDEX))


# --- Without Celery ------------------------------------------------------------------------------

LOAD = """
import sys
import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.admin",
        "hybrid_tasks",
    ],
    TASKS={"default": {"BACKEND": "hybrid_tasks.backends.eventloop.EventLoopBackend"}},
)
django.setup()
from django.contrib import admin

assert any(model.__name__ == "OutboxTask" for model in admin.site._registry)
print([name for name in ("celery", "kombu") if name in sys.modules])
"""


def test_admin_loads_without_celery() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "[]\n", done.stderr
