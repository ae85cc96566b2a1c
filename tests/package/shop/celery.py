"""The shop's Celery application."""

import os

from celery import Celery

app = Celery("shop")
app.conf.update(
    broker_url=os.environ.get("BROKER_URL", "redis://127.0.0.1:1/0"),
    accept_content=["json"],
    task_default_queue="default",
    task_default_priority=5,
    task_ignore_result=True,
    task_publish_retry_policy={"max_retries": 0},
    broker_transport_options={
        "max_retries": 0,
        "socket_connect_timeout": 1,
        "socket_timeout": 1,
    },
)
app.autodiscover_tasks()
