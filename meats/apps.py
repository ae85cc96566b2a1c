"""The meats app."""

from django.apps import AppConfig


class MeatsConfig(AppConfig):
    name = "meats"
    verbose_name = "Smokehouse"

    def ready(self) -> None:
        """Register the checks."""
        from meats import checks  # noqa: F401
