"""Settings of the project that the doctor looks at; OVERRIDES puts mistakes into them."""

import json
import os

from tests.loop.settings import *  # noqa: F403

ASGI_APPLICATION = "tests.loop.asgi.application"
CELERY_TASK_DEFAULT_PRIORITY = 5

globals().update(json.loads(os.environ.get("OVERRIDES", "{}")))
