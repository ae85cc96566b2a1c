"""A project with nothing but tasks, whose backends stand where Django's tests name its own."""

import os
import sys
import tempfile
from importlib import import_module

BACKEND = os.environ["BACKEND"]
DIRECTORY = tempfile.mkdtemp(prefix="django-own-")

SECRET_KEY = "only-for-tests"
USE_TZ = True
INSTALLED_APPS = ["hybrid_tasks"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{DIRECTORY}/db.sqlite3",
        "TEST": {"NAME": f"{DIRECTORY}/test.sqlite3"},  # a file, which threads can share
    }
}
CACHES = {
    "default": {
        "BACKEND": "hybrid_tasks.caches.RedisCache",
        "LOCATION": os.environ["BROKER_URL"].removesuffix("/0") + "/1",
        "OPTIONS": {"socket_timeout": 60},
    }
}
CELERY_BROKER_URL = os.environ["BROKER_URL"]
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_DEFAULT_PRIORITY = 5
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "max_retries": 0,
    "socket_connect_timeout": 1,
    "socket_timeout": 60,
}

for name in ("dummy", "immediate"):
    sys.modules[f"django.tasks.backends.{name}"] = import_module(f"tests.django_own.{BACKEND}")

TASKS = {"default": {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend", "QUEUES": []}}
