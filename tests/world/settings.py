"""Django's settings for the world alone: its explorers start quickly."""

SECRET_KEY = "only-for-tests"
USE_TZ = True
INSTALLED_APPS = ["hybrid_tasks"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
