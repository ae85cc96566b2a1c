"""The outbox in Django's admin, which looks for this module in each app."""

from hybrid_tasks.admin.outbox import OutboxTaskAdmin

__all__ = ["OutboxTaskAdmin"]
