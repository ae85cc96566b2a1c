"""What the checks say of a Celery application that a backend sends to."""

import sys
from typing import Any

import pytest
from celery import Celery
from kombu import Queue

from hybrid_tasks.celery.checks import check_celery_settings, queue_worker_command, worker_command
from tests.hybrid_tasks.outbox import broker
from tests.processes import Process

QUEUES = {"default"}
GOOD = {
    "broker_url": "redis://localhost/0",
    "accept_content": ["json"],
    "broker_transport_options": {"socket_timeout": 1},
    "task_default_priority": 5,
    "task_default_queue": "default",
}
RABBITMQ = {
    "broker_url": "amqp://localhost//",
    "broker_transport_options": {"confirm_publish": True},
    "broker_channel_error_retry": True,
    "task_queue_max_priority": 9,
}
QUORUM: dict[str, Any] = {
    **RABBITMQ,
    "task_queue_max_priority": None,
    "task_queues": {
        "default": {
            "queue_arguments": {
                "x-queue-type": "quorum",
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": "default.again",
            }
        },
        "default.again": {"queue_arguments": {"x-queue-type": "quorum"}},
    },
}


def quorum_queue(**arguments: Any) -> dict[str, Any]:
    """Return the settings of a quorum queue with these arguments."""
    return {"queue_arguments": {"x-queue-type": "quorum", **arguments}}


def found(**settings: Any) -> list[str]:
    """Return the ids of what is said of an application whose settings are good but for these."""
    app = Celery("checked", set_as_current=False)
    app.conf.update({**GOOD, **settings})
    messages = list(check_celery_settings("celery", app, QUEUES))
    assert all(message.hint for message in messages)
    return [str(message.id).removeprefix("hybrid_tasks.") for message in messages]


def test_nothing_is_said_of_good_settings() -> None:
    assert found() == []
    assert found(**RABBITMQ) == []
    assert found(**QUORUM) == []


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"task_always_eager": True}, ["E010"]),
        ({"task_reject_on_worker_lost": True}, ["E011"]),
        ({"task_acks_late": True}, ["W010"]),
        ({"broker_transport_options": {}}, ["W011"]),
    ],
)
def test_settings_that_break_a_promise(settings: dict[str, Any], expected: list[str]) -> None:
    assert found(**settings) == expected


def test_a_broker_whose_client_is_not_installed() -> None:
    assert found(broker_url="sqs://") == ["E019"]


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        (["json"], []),
        (["application/json"], []),
        (["yaml", "application/json"], []),
        (["pickle", "application/json"], ["W015"]),
        (["application/x-python-serialize", "json"], ["W015"]),
        (["pickle"], ["E012", "W015"]),
        ([], ["E012"]),
    ],
)
def test_json_has_two_names(accepted: list[str], expected: list[str]) -> None:
    """C23: E012 was wrong about 'application/json'."""
    assert found(accept_content=accepted) == expected


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"task_serializer": "pickle"}, "'pickle', which its own workers refuse: it is what beat"),
        ({"task_serializer": "yaml", "accept_content": ["json", "yaml"]}, "'yaml': it is what"),
    ],
)
def test_a_serializer_that_is_not_json(settings: dict[str, Any], told: str) -> None:
    """C23: what our backend sends is JSON; what beat and .delay() send, even of ours, is not."""
    assert found(**settings) == ["W016"]
    app = Celery("checked", set_as_current=False)
    app.conf.update({**GOOD, **settings})
    (message,) = check_celery_settings("celery", app, QUEUES)
    assert told in message.msg


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"task_default_queue": "celery"}, ["W012"]),
        ({"task_default_queue": "celery", "task_queues": {"celery": {}}}, ["W012"]),
        ({"task_default_queue": "celery", "task_queues": {"celery": {}, "default": {}}}, []),
        ({"task_queues": {"default": {}, "other": {}}}, []),
    ],
)
def test_a_queue_that_no_worker_serves(settings: dict[str, Any], expected: list[str]) -> None:
    """C23: the documented steps sent to 'default' while a plain worker serves 'celery'."""
    assert found(**settings) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"broker_url": None}, ["W020"]),
        ({"broker_url": "localhost:6379"}, ["W020"]),
        ({"broker_url": "redis//localhost"}, ["W020"]),
        ({"broker_url": "localhost", "broker_transport": "redis"}, []),
        ({"broker_url": "redis://"}, []),
        ({"broker_url": ["redis://one", "redis://other"]}, []),
        ({"broker_url": "redis://one;redis://other"}, []),
    ],
)
def test_a_broker_of_no_kind(settings: dict[str, Any], expected: list[str]) -> None:
    """All that was said of it were three warnings about RabbitMQ."""
    assert found(**settings) == expected


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"accept_content": ["pickle"]}, "CELERY_ACCEPT_CONTENT = ['json']"),
        ({"task_serializer": "pickle"}, "CELERY_TASK_SERIALIZER"),
        ({"broker_transport_options": {}}, "CELERY_BROKER_TRANSPORT_OPTIONS = {'max_retries'"),
        ({"task_default_priority": None}, "CELERY_TASK_DEFAULT_PRIORITY"),
        ({"task_default_queue": "celery"}, "CELERY_TASK_DEFAULT_QUEUE"),
        ({"broker_url": ""}, "CELERY_BROKER_URL"),
        ({**RABBITMQ, "broker_transport_options": {}}, "OPTIONS = {'confirm_publish': True}"),
        ({**RABBITMQ, "broker_channel_error_retry": False}, "CELERY_BROKER_CHANNEL_ERROR_RETRY"),
        ({**RABBITMQ, "task_queue_max_priority": None}, "CELERY_TASK_QUEUE_MAX_PRIORITY"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_hints_name_a_setting_as_the_project_has_it(wrong: dict[str, Any], told: str) -> None:
    """Written as Celery calls it, it would do nothing among Django's."""
    app = Celery("checked", set_as_current=False, namespace="CELERY")
    app.conf.update({**GOOD, **wrong})
    message, *_ = check_celery_settings("celery", app, QUEUES)
    assert told in str(message.hint)


def test_the_hint_tells_how_to_start_the_workers() -> None:
    app = Celery("checked", set_as_current=False)
    app.conf.update({**GOOD, "task_default_queue": "celery"})
    (message,) = check_celery_settings("celery", app, {"default", "heavy"})
    assert "celery -A ... worker --queues default,heavy,celery" in str(message.hint)
    assert "task_default_queue" in str(message.hint)


def test_the_command_names_the_application_as_celery_finds_it() -> None:
    from project.celery import app

    assert worker_command(app, ["default"]) == "celery -A project worker --queues default,heavy"
    assert worker_command(app, ["a b"]).endswith(" --queues 'a b,default,heavy'")
    more = queue_worker_command(app, "a b")
    assert more == "celery -A project worker --queues 'a b' --hostname 'a b@%h'"
    there = worker_command(broker.there, [])
    assert there.startswith(f"celery -A {broker.__name__}:there worker")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"task_queue_max_priority": None}, ["W013"]),
        ({"task_queue_max_priority": None, "task_default_queue_type": "quorum"}, ["W019"]),
        ({"task_default_priority": None}, []),
        ({"task_queue_max_priority": None, "task_queues": [Queue("default")]}, ["W013"]),
        (
            {"task_queue_max_priority": None, "task_queues": [Queue("default", max_priority=9)]},
            [],
        ),
        (
            {
                "task_queue_max_priority": None,
                "task_queues": [Queue("default", queue_arguments={"x-max-priority": 9})],
            },
            [],
        ),
        (
            {
                "task_queue_max_priority": None,
                "task_queues": [Queue("default", queue_arguments={"x-queue-type": "quorum"})],
            },
            ["W019"],
        ),
    ],
)
def test_priorities_on_rabbitmq(settings: dict[str, Any], expected: list[str]) -> None:
    """C23: nobody declared or checked `x-max-priority`."""
    assert found(**RABBITMQ | settings) == expected


@pytest.mark.parametrize("options", [{}, {"confirm_publish": False}])
def test_rabbitmq_does_not_confirm(options: dict[str, Any]) -> None:
    """Our own publisher has it always; not so beat, and .delay()."""
    assert found(**{**RABBITMQ, "broker_transport_options": options}) == ["W017"]


def test_a_worker_ends_itself_where_a_task_takes_long() -> None:
    assert found(**RABBITMQ | {"broker_channel_error_retry": False}) == ["W018"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"task_queue_max_priority": 9}, ["E014"]),
        ({"task_queues": {"default": quorum_queue(**{"x-max-priority": 9})}}, ["E014", "W019"]),
        ({"task_queues": {"default": quorum_queue()}}, ["W019"]),
        ({"task_queues": {"default": quorum_queue(**{"x-delivery-limit": 20})}}, ["W019"]),
        ({"task_queues": {"default": quorum_queue(**{"x-delivery-limit": -1})}}, []),
        ({"task_queues": {"default": quorum_queue(**{"x-dead-letter-exchange": "dead"})}}, []),
        ({"task_queues": None, "task_default_queue_type": "quorum"}, ["W019"]),
    ],
)
def test_quorum_queues(settings: dict[str, Any], expected: list[str]) -> None:
    assert found(**QUORUM | settings) == expected


def test_priorities_on_redis() -> None:
    """C23: tasks without a priority have 0 there, which is served first."""
    assert found(task_default_priority=None) == ["W014"]
    assert found(task_default_priority=0) == []


def test_a_url_that_is_not_understood_is_celerys_to_tell() -> None:
    assert found(broker_url="nothing://localhost") == []


PROGRAM = """
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["hybrid_tasks"],
    TASKS={"default": {"BACKEND": "hybrid_tasks.backends.celery.CeleryBackend"}},
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
%s
django.setup()
from django.core import checks
print([message.id for message in checks.run_checks() if message.id != "hybrid_tasks.W001"])
"""
OWN = "from celery import Celery\napp = Celery('own', broker='redis://x')\napp.set_default()"


@pytest.mark.parametrize(
    ("application", "expected"),
    [("", "['hybrid_tasks.E013']"), (OWN, "'hybrid_tasks.W012'")],
    ids=["none", "its own"],
)
def test_a_project_without_a_celery_application(
    application: str, expected: str, tmp_path: Any
) -> None:
    """C23: with none at all, messages went to amqp://localhost, and `check` was silent."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM % application]
    with Process(command, {}, tmp_path / "log") as program:
        program.wait_for(expected)


def test_the_project_itself_has_nothing_to_mend(settings: Any) -> None:
    from project.celery import app

    queues = settings.TASKS["celery"]["QUEUES"]
    assert list(check_celery_settings("celery", app, queues)) == []
