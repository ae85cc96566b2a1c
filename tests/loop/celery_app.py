"""The Celery application that takes over what the loop cannot finish."""

from celery import Celery

app = Celery("loop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
