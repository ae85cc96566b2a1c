"""The meats app."""

from django.apps import AppConfig


class MeatsConfig(AppConfig):
    name = "meats"
    verbose_name = "Smokehouse"
