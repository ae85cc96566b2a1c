"""The outbox's one table."""

import json
from typing import Any

from django.db import models
from django.db.models import Case, Q, Value, When

from hybrid_tasks.databases.clock import Now


class OutboxQuerySet(models.QuerySet["OutboxTask"]):
    """The states of rows as an operator names them; all times are the database's."""

    def alive(self) -> "OutboxQuerySet":
        return self.exclude(state=OutboxTask.State.DEAD)

    def dead(self) -> "OutboxQuerySet":
        return self.filter(state=OutboxTask.State.DEAD)

    def waiting(self) -> "OutboxQuerySet":
        return self.filter(state=OutboxTask.State.WAITING, available_at__lte=Now())

    def claimed(self) -> "OutboxQuerySet":
        return self.filter(state=OutboxTask.State.CLAIMED, available_at__gt=Now(), overdue=False)

    def abandoned(self) -> "OutboxQuerySet":
        """Those whose holder has not renewed its lease: it has died or hangs."""
        late = Q(available_at__lte=Now()) | Q(overdue=True)
        return self.filter(late, state=OutboxTask.State.CLAIMED)

    def sent(self) -> "OutboxQuerySet":
        return self.filter(state=OutboxTask.State.SENT)

    def due(self) -> "OutboxQuerySet":
        """Those that the relay may take: nobody holds them, and their time has come."""
        return self.filter(self.is_due())

    @staticmethod
    def is_due() -> Q:
        """Return the condition of due()."""
        claimed = Q(state=OutboxTask.State.CLAIMED, overdue=False)
        return ~Q(state=OutboxTask.State.DEAD) & ~claimed & Q(available_at__lte=Now())

    def scheduled(self) -> "OutboxQuerySet":
        """Those that wait for their `run_after`, or for their next attempt."""
        return self.filter(state=OutboxTask.State.WAITING, available_at__gt=Now())

    def with_standing(self) -> "OutboxQuerySet":
        """Tell for each row which of these states it is in, as `row.standing`."""
        state, standing = OutboxTask.State, OutboxTask.Standing
        come = Q(available_at__lte=Now())
        late = come | Q(overdue=True)
        told = Case(
            When(come, state=state.WAITING, then=Value(standing.WAITING)),
            When(state=state.WAITING, then=Value(standing.SCHEDULED)),
            When(late, state=state.CLAIMED, then=Value(standing.ABANDONED)),
            When(state=state.CLAIMED, then=Value(standing.CLAIMED)),
            When(state=state.SENT, then=Value(standing.SENT)),
            default=Value(standing.DEAD),
        )
        return self.annotate(_standing=told)


class OutboxTask(models.Model):
    """A task that is not finished, or that has failed for good.

    `available_at` is the one time that matters: until then the row belongs to its holder (a lease),
    to the broker (which may still deliver it) or to nobody (`run_after`, a backoff); from then on
    the relay may take it. A lease that has ended is `overdue` first, with a grace in which a holder
    that lives can still renew it: after a while without the database, all leases have ended.
    """

    class State(models.TextChoices):
        WAITING = "WAITING", "Waiting"  # for the relay
        CLAIMED = "CLAIMED", "Claimed"  # by the process `claimed_by`, which runs it or will
        SENT = "SENT", "Sent"  # to the broker; whichever worker gets it first may claim it
        DEAD = "DEAD", "Dead letter"  # failed for good; kept until a person decides

    class Standing(models.TextChoices):
        """A state as an operator names it: by the database's clock as well."""

        WAITING = "waiting", "Waiting"
        SCHEDULED = "scheduled", "Scheduled"
        CLAIMED = "claimed", "Claimed"
        ABANDONED = "abandoned", "Waiting for rescue"
        SENT = "sent", "Sent"
        DEAD = "dead", "Dead letter"

    id = models.CharField(primary_key=True, max_length=64)
    task_path = models.CharField("task", max_length=255)
    backend = models.CharField(max_length=100)
    queue_name = models.CharField("queue", max_length=100)
    priority = models.SmallIntegerField(default=0)
    state = models.CharField(max_length=7, choices=State, default=State.WAITING)
    available_at = models.DateTimeField()
    claimed_by = models.CharField(max_length=100, blank=True, default="")
    overdue = models.BooleanField(db_default=False)
    attempts = models.PositiveIntegerField(default=0)
    max_attempts = models.PositiveIntegerField(default=1)
    sends = models.PositiveIntegerField(default=0)
    message = models.TextField(help_text="The task's result, as hybrid_tasks.results encodes it.")
    created_at = models.DateTimeField(db_default=Now())

    objects = OutboxQuerySet.as_manager()

    class Meta:
        verbose_name = "outbox task"
        indexes = (
            models.Index(fields=["state", "available_at"], name="outbox_due"),
            models.Index(fields=["claimed_by"], name="outbox_holder"),
        )

    def __str__(self) -> str:
        return f"{self.task_path} {self.id}"

    @property
    def standing(self) -> Standing:
        """The state as `OutboxQuerySet.with_standing()` found it."""
        return OutboxTask.Standing(vars(self)["_standing"])

    @property
    def content(self) -> dict[str, Any]:
        """What `message` holds, without importing the task, which may be gone."""
        content: dict[str, Any] = json.loads(self.message)
        return content

    @property
    def errors(self) -> list[tuple[str, str]]:
        """Path of the exception and its traceback, for each attempt that failed."""
        return [(path, traceback) for path, traceback in self.content["errors"]]
