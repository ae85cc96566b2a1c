"""The tests' settings on the PostgreSQL server of POSTGRES_URL."""

import os

import dj_database_url

from tests.settings import *  # noqa: F403

DATABASES = {"default": dj_database_url.parse(os.environ["POSTGRES_URL"])}
