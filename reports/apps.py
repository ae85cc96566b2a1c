"""The reports app."""

from django.apps import AppConfig


class ReportsConfig(AppConfig):
    name = "reports"
    verbose_name = "Reports"

    def ready(self) -> None:
        """Hear of dead letters, and of customers who are exported or erased, in any process."""
        from reports import people, tasks  # noqa: F401
