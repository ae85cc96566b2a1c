"""Celery applications with settings of their own; the fixture `queue` names their broker."""

from celery import Celery

from tests.documented import TITLES, broker_settings
from tests.hybrid_tasks.outbox.broker import NOWHERE, application

strict = application("strict", NOWHERE)
strict.conf.task_create_missing_queues = False
strict.conf.task_queues = {"default": {}}

fleeting = application("fleeting", NOWHERE)
fleeting.conf.task_default_delivery_mode = "transient"

yaml = application("yaml", NOWHERE)
yaml.conf.task_serializer = "yaml"


def documented(kind: str) -> Celery:
    """Return an application as docs/brokers.md sets it up; the tests name its broker."""
    app = Celery(kind, set_as_current=False)
    app.config_from_object(broker_settings(TITLES[kind]), namespace="CELERY")
    return app


rabbitmq = documented("rabbitmq")
quorum = documented("quorum")
sentinel = documented("sentinel")

ALL = [strict, fleeting, yaml]
