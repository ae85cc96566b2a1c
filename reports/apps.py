"""The reports app."""

from django.apps import AppConfig


class ReportsConfig(AppConfig):
    name = "reports"
    verbose_name = "Reports"

    def ready(self) -> None:
        """Hear of dead letters, in whatever process."""
        from reports import tasks  # noqa: F401
