"""The project's settings for workers behind the broker that the environment names.

BROKER_NAME is that of the settings in docs/brokers.md, BROKER_URL its address.
"""

import os
from typing import Any

from tests.documented import TITLES, broker_settings
from tests.hybrid_tasks.patient_settings import *  # noqa: F403
from tests.processes import PATIENCE

CELERY_TASK_QUEUES: Any = None  # type: ignore[no-redef]  # not those of the project
CELERY_BROKER_TRANSPORT_OPTIONS: Any = {}  # type: ignore[no-redef]

globals().update(broker_settings(TITLES[os.environ["BROKER_NAME"]]))

CELERY_BROKER_URL = os.environ["BROKER_URL"]
CELERY_BROKER_TRANSPORT_OPTIONS["socket_timeout"] = int(PATIENCE)
