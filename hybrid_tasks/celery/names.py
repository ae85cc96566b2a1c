"""What settings of Celery are called where a project has them."""

from celery import Celery


def named(app: Celery, setting: str) -> str:
    """Return the name of a setting as it has to be written: with the namespace of Django's."""
    return f"{app.namespace}_{setting}".upper() if app.namespace else setting
