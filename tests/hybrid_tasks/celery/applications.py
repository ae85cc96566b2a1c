"""Celery applications with settings of their own; the fixture `queue` names their broker."""

from tests.hybrid_tasks.outbox.broker import NOWHERE, application

strict = application("strict", NOWHERE)
strict.conf.task_create_missing_queues = False
strict.conf.task_queues = {"default": {}}

fleeting = application("fleeting", NOWHERE)
fleeting.conf.task_default_delivery_mode = "transient"

yaml = application("yaml", NOWHERE)
yaml.conf.task_serializer = "yaml"

rabbit = application("rabbit", NOWHERE)  # test_rabbitmq.py names its broker

ALL = [strict, fleeting, yaml]
