"""The project of the tests on a PostgreSQL that the environment names; results are there, too."""

import os

import dj_database_url

from tests.settings import *  # noqa: F403

DATABASES = {"default": dict(dj_database_url.parse(os.environ["POSTGRES_URL"]))}
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "results"}
}
