"""Mistakes, each made on purpose in a system that is well but for it: the doctor names them."""

from pathlib import Path
from typing import Any

import pytest

from tests.hybrid_tasks.doctor.clinic import Clinic, tasks
from tests.processes import free_port

REDIS_CACHE = "hybrid_tasks.caches.RedisCache"
LOCMEM = "django.core.cache.backends.locmem.LocMemCache"


def test_a_worker_that_serves_another_queue(healthy: Clinic) -> None:
    two = tasks(QUEUES=["default", "heavy"])
    report = healthy.doctor(TASKS=two)
    options = "--queues heavy --hostname heavy@%h"
    command = f"celery -A tests.loop.celery_app worker {options}"
    report.assert_named("queue 'heavy'", "bad", "no worker serves it", command)
    assert report.parts("bad") == ["queue 'heavy'"]
    assert report.code == 1

    told = healthy.env_with({"TASKS": two})
    with healthy.worker(*options.split(), "--concurrency=1", **told):
        advised = healthy.doctor(TASKS=two)
    assert advised.parts("bad") == []
    assert "2 workers answer: celery@" in advised.output


def test_only_workers_of_another_queue(healthy: Clinic) -> None:
    heavy = tasks(QUEUES=["heavy"])
    heavy["default"]["QUEUES"] = ["heavy"]
    report = healthy.doctor(TASKS=heavy)
    report.assert_named("queue 'heavy'", "bad", "served: default")
    report.assert_named("task by 'celery'", "bad", "none was sent")
    report.assert_named("task by 'default' (overflow)", "bad", "none was sent")
    assert healthy.queued_ids() == []


def test_no_worker_no_relay_and_no_web_process(clinic: Clinic) -> None:
    report = clinic.doctor()
    command = "Start one: celery -A tests.loop.celery_app worker --queues default"
    report.assert_named("workers of 'celery'", "bad", "none answers", command)
    report.assert_named("relay", "bad", "has not run", "manage.py relay_outbox", "beat")
    report.assert_named("web for 'default'", "warning", "none serves it", "Lifespan")
    report.assert_named("task by 'celery'", "bad", "none was sent")
    assert "task by 'default' (loop)" in report.parts("ok")
    assert report.code == 1


def test_no_worker_of_two_queues(clinic: Clinic) -> None:
    report = clinic.doctor(TASKS=tasks(QUEUES=["default", "heavy"]))
    told = "one for each queue: celery -A tests.loop.celery_app worker --queues default,heavy"
    report.assert_named("workers of 'celery'", "bad", "none answers", told)


def test_no_celery_application(healthy: Clinic) -> None:
    without = tasks()
    del without["celery"]["OPTIONS"]
    report = healthy.doctor(TASKS=without)
    report.assert_named("settings", "bad", "no Celery application", "amqp://localhost")
    report.assert_named("broker of 'celery'", "bad", "no Celery application", "__init__.py")


def test_a_broker_that_is_off(healthy: Clinic) -> None:
    report = healthy.doctor(CELERY_BROKER_URL=f"redis://127.0.0.1:{free_port()}/0")
    report.assert_named("broker of 'celery'", "bad", "cannot be reached", "broker_url")
    report.assert_named("workers of 'celery'", "bad", "not asked")
    for part in ("task by 'celery'", "task by 'default' (overflow)"):
        report.assert_named(part, "bad", "no broker was reached", "Let the broker be up")
    assert "cache 'default'" in report.parts("ok")


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_hangs(scheme: str, healthy: Clinic, silent_port: int) -> None:
    patient = {"socket_timeout": 600, "socket_connect_timeout": 600}  # a worse one cannot be set
    report = healthy.doctor(
        "--timeout",
        "3",
        CELERY_BROKER_URL=f"{scheme}://127.0.0.1:{silent_port}/0",
        CELERY_BROKER_TRANSPORT_OPTIONS=patient,
    )
    (line,) = [line for line in report.lines if line["part"] == "broker of 'celery'"]
    assert line["state"] == "bad"
    assert "no answer within 3 s" in line["seen"] or "cannot be reached" in line["seen"]
    report.assert_named("workers of 'celery'", "bad", "not asked")


def test_a_cache_that_hangs(healthy: Clinic, silent_port: int) -> None:
    location = f"redis://127.0.0.1:{silent_port}/1"
    hanging = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": location}
    report = healthy.doctor("--timeout", "3", CACHES={"default": hanging})
    for part in ("cache 'default'", "relay", "web for 'default'"):
        report.assert_named(part, "bad", "no answer within 3 s", "CACHES['default']")
    assert "broker of 'celery'" in report.parts("ok")


def test_a_database_that_hangs(healthy: Clinic, silent_port: int) -> None:
    hanging = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": silent_port,
        "NAME": "hangs",
    }
    report = healthy.doctor("--timeout", "3", DATABASES={"default": hanging})
    for part in ("database", "migrations", "outbox"):
        report.assert_named(part, "bad", "no answer within 3 s", "DATABASES")
    assert "task by 'celery'" in report.parts("ok")


def test_a_cache_of_each_process_its_own(healthy: Clinic) -> None:
    report = healthy.doctor("--timeout", "2", CACHES={"default": {"BACKEND": LOCMEM}})
    report.assert_named("settings", "warning", "which other processes cannot read")
    report.assert_named("cache 'default'", "bad", "another one in each process", "RedisCache")
    report.assert_named("task by 'celery'", "bad", "none was sent", "cache")
    assert "task by 'default' (loop)" in report.parts("ok")


def test_a_cache_that_keeps_nothing(healthy: Clinic) -> None:
    dummy = "django.core.cache.backends.dummy.DummyCache"
    report = healthy.doctor("--timeout", "2", CACHES={"default": {"BACKEND": dummy}})
    report.assert_named("cache 'default'", "bad", "does not keep", "RedisCache")


def test_a_cache_of_each_machine_its_own(healthy: Clinic, tmp_path: Path) -> None:
    files = "django.core.cache.backends.filebased.FileBasedCache"
    cache = {"BACKEND": files, "LOCATION": str(tmp_path / "cache")}
    report = healthy.doctor("--timeout", "2", CACHES={"default": cache})
    report.assert_named("cache 'default'", "warning", "another one on each machine")
    report.assert_named("settings", "warning", "which other machines cannot read")


def test_two_caches_behind_one_name(healthy: Clinic) -> None:
    other = {"BACKEND": REDIS_CACHE, "LOCATION": f"{healthy.env['BROKER_URL']}/5"}
    report = healthy.doctor("--timeout", "2", CACHES={"default": other})
    report.assert_named("task by 'celery'", "bad", "not back within 2 s", "worker's log")
    named = ("does not find in its own what is written here", "celery@", "CACHES['default']")
    report.assert_named("cache 'default' in workers", "bad", *named)
    report.assert_named("web for 'default'", "warning", "none serves it", "cache 'default'")


def test_two_caches_by_their_names(healthy: Clinic) -> None:
    cache = {"BACKEND": REDIS_CACHE, "LOCATION": f"{healthy.env['BROKER_URL']}/1"}
    two = tasks()
    two["celery"]["OPTIONS"] = {**two["celery"]["OPTIONS"], "result_cache": "other"}
    caches = {"default": cache, "other": {**cache, "LOCATION": cache["LOCATION"][:-1] + "6"}}
    mistake: dict[str, Any] = {"TASKS": two, "CACHES": caches}
    assert "could not be found any more" in healthy.check(**mistake)
    report = healthy.doctor("--timeout", "2", **mistake)
    report.assert_named("settings", "bad", "'other' for its overflow", "the same cache")


def test_migrations_that_are_missing(healthy: Clinic, tmp_path: Path) -> None:
    empty = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "empty.sqlite3")}
    report = healthy.doctor(DATABASES={"default": empty})
    report.assert_named("migrations", "bad", "0001_outbox", "manage.py migrate hybrid_tasks")
    report.assert_named("outbox", "bad", "no such table")


def test_a_lifespan_that_was_forgotten(clinic: Clinic) -> None:
    clinic.work("default")
    clinic.serve("tests.hybrid_tasks.doctor.forgotten:application")
    forgotten = {"ASGI_APPLICATION": "tests.hybrid_tasks.doctor.forgotten.application"}
    assert "not wrapped in Lifespan: its server runs no tasks" in clinic.check(**forgotten)
    report = clinic.doctor(**forgotten)
    report.assert_named("settings", "warning", "not wrapped in Lifespan")
    report.assert_named("web for 'default'", "warning", "none serves it", "goes to 'celery'")


def test_a_lifespan_that_is_mentioned_only(healthy: Clinic) -> None:
    """Whoever imports it and wraps nothing is told by the doctor, which imports the application."""
    report = healthy.doctor(ASGI_APPLICATION="tests.loop.asgi.django_application")
    report.assert_named("settings", "warning", "not wrapped in Lifespan")
    assert report.parts("bad") == []
    assert report.code == 0
    assert healthy.doctor("--strict", ASGI_APPLICATION="tests.loop.asgi.nothing").code == 1


def test_oracle_whose_driver_is_not_installed(healthy: Clinic, tmp_path: Path) -> None:
    """As the outbox's own database; as the default one, Django cannot load any model."""
    sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "db.sqlite3")}
    oracle = {"ENGINE": "django.db.backends.oracle", "NAME": "outbox"}
    mistake: dict[str, Any] = {
        "DATABASES": {"default": sqlite, "other": oracle},
        "DATABASE_ROUTERS": ["tests.hybrid_tasks.doctor.routers.OutboxElsewhere"],
    }
    assert "in the database 'other', which is oracle" in healthy.check(**mistake)
    report = healthy.doctor("--timeout", "2", **mistake)
    report.assert_named("settings", "bad", "which is oracle", "DATABASE_ROUTERS")
    report.assert_named("database", "bad", "oracledb")


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        ({"USE_TZ": False}, "needs USE_TZ = True"),
        ({"CELERY_ACCEPT_CONTENT": ["json", "pickle"]}, "run any code"),
        ({"CELERY_TASK_SERIALIZER": "pickle"}, "task_serializer is 'pickle', which its own"),
        ({"CELERY_BROKER_URL": "amqp://127.0.0.1:1//"}, "does not confirm what beat"),
        ({"CELERY_BROKER_URL": "amqp://127.0.0.1:1//"}, "know no priorities"),
        ({"CELERY_TASK_DEFAULT_QUEUE": "celery"}, "celery -A tests.loop.celery_app worker"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_settings_that_need_no_connection(
    mistake: dict[str, Any], told: str, healthy: Clinic
) -> None:
    assert told in healthy.check(**mistake)


def test_what_check_says_the_doctor_says(healthy: Clinic) -> None:
    report = healthy.doctor(
        "--timeout", "2", USE_TZ=False, CELERY_ACCEPT_CONTENT=["pickle", "json"]
    )
    report.assert_named("settings", "bad", "needs USE_TZ = True", "hybrid_tasks.E008")
    report.assert_named("settings", "warning", "run any code", "hybrid_tasks.W015")


def test_a_check_that_is_silenced(healthy: Clinic) -> None:
    report = healthy.doctor(
        CELERY_TASK_ACKS_LATE=True, SILENCED_SYSTEM_CHECKS=["hybrid_tasks.W010"]
    )
    assert "settings" in report.parts("ok")
