"""The project's settings in production, with static files straight from the applications."""

from project.settings import *  # noqa: F403

DEBUG = False
ROOT_URLCONF = "tests.browser.broken_urls"
SERVESTATIC_USE_FINDERS = SERVESTATIC_AUTOREFRESH = True
STORAGES["staticfiles"] = {  # noqa: F405
    "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
}
