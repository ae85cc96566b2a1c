"""The Celery application that the test's process sends with; conftest gives it a broker."""

from celery import Celery

app = Celery("contract", set_as_current=False)
app.config_from_object("django.conf:settings", namespace="CELERY")
