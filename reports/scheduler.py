"""Beat's scheduler: django-celery-beat's, with a sign of life."""

from pathlib import Path

from django.conf import settings
from django_celery_beat.schedulers import DatabaseScheduler


class HeartbeatScheduler(DatabaseScheduler):
    """Touches BEAT_HEARTBEAT_FILE at every tick, for beat answers no ping."""

    def tick(self, *args: object, **kwargs: object) -> float:
        path = Path(settings.BEAT_HEARTBEAT_FILE)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return super().tick(*args, **kwargs)
