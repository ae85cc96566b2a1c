"""Settings of a small Django project whose processes the tests start, stop and kill."""

import json
import os

from environs import Env

env = Env()

SECRET_KEY = "only-for-tests"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "tests.loop.urls"
INSTALLED_APPS = ["django.contrib.contenttypes", "hybrid_tasks", "tests.loop"]
DATABASES = {"default": env.dj_db_url("DATABASE_URL")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        "transaction_mode": "IMMEDIATE",
    }
TIME_ZONE = "UTC"

BROKER_URL = os.environ["BROKER_URL"]
BROKER_SECONDS = env.float("BROKER_SECONDS", 1)  # that it may take to answer
CACHES = {
    "default": {
        "BACKEND": "hybrid_tasks.caches.RedisCache",
        "LOCATION": env.str("CACHE_URL", f"{BROKER_URL}/1"),
        "OPTIONS": {"socket_timeout": BROKER_SECONDS},
    }
}

CELERY_BROKER_URL = f"{BROKER_URL}/0"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 0}
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "max_retries": 0,
    "socket_connect_timeout": BROKER_SECONDS,
    "socket_timeout": BROKER_SECONDS,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

TASKS = {
    "default": {
        "BACKEND": "hybrid_tasks.backends.eventloop.EventLoopBackend",
        "OPTIONS": json.loads(os.environ["LOOP_OPTIONS"]),
    },
    "celery": {
        "BACKEND": "hybrid_tasks.backends.celery.CeleryBackend",
        "OPTIONS": {"app": "tests.loop.celery_app.app"},
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(process)d %(levelname)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
}
