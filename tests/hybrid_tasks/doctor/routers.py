"""Where the outbox is kept."""

from django.db.models import Model


class OutboxElsewhere:
    """Keeps the outbox, and nothing else, in the database `other`."""

    def db_for_write(self, model: type[Model], **_hints: object) -> str | None:
        return "other" if model._meta.app_label == "hybrid_tasks" else None

    db_for_read = db_for_write
