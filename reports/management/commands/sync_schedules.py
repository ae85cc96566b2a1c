"""manage.py sync_schedules"""

from typing import Any

from django.core.management.base import BaseCommand

from reports.schedules import SCHEDULES, create_missing


class Command(BaseCommand):
    help = (
        "Creates the project's periodic tasks that are missing. What exists is never changed:"
        " to stop one for good, disable it in the admin instead of deleting it."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        for schedule in SCHEDULES:
            if create_missing(schedule):
                self.stdout.write(self.style.SUCCESS(f"{schedule.name}: created"))
            else:
                self.stdout.write(f"{schedule.name}: exists, left as it is")
