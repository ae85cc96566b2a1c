"""Settings for a worker whose broker is RabbitMQ; the variable BROKER_URL names it."""

import os

from tests.hybrid_tasks.patient_settings import *  # noqa: F403

CELERY_BROKER_URL = os.environ["BROKER_URL"]
