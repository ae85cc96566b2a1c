"""The Celery application; its settings are the CELERY_* ones of Django's settings."""

import os
from logging.config import dictConfig
from typing import Any

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

app = Celery("smokehouse")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def use_django_logging(**_kwargs: Any) -> None:
    """Let worker, beat and web log alike; Celery leaves logging alone where this is connected."""
    from django.conf import settings

    dictConfig(settings.LOGGING)
