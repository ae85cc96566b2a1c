"""Runs of reports, the reports themselves, and what else the scheduled jobs have to remember."""

from django.db import models
from django.utils import timezone

from meats.models import Customer
from reports.periods import Period
from reports.storage import report_storage, require_storage

LATEST = 100  # files by which a storage is recognised that has no marker yet


class ReportRun(models.Model):
    """The making and sending of all reports of a period: one row for ever, however often started.

    Attributes:
        cursor: key of the last customer who was given to a chunk.
        done: customers whose report is made and, unless they do not want it, mailed.
        failed: customers whose report is not; each of them says why.
        resumed: when it was last started, and `done_before` what was done by then: for the rate.
        error: why the run itself failed.
        finisher_id: of the durable task that adds up and tells the staff.
    """

    class State(models.TextChoices):
        NEW = "new", "Not started"
        RUNNING = "running", "Running"
        FINISHING = "finishing", "Adding up"
        FINISHED = "finished", "Finished"
        FAILED = "failed", "Failed"

    period = models.CharField(max_length=7, unique=True)
    state = models.CharField(max_length=9, choices=State, default=State.NEW)
    cursor = models.BigIntegerField(default=0, editable=False)
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    started = models.DateTimeField(null=True, blank=True)
    resumed = models.DateTimeField(null=True, blank=True)
    done_before = models.PositiveIntegerField(default=0, editable=False)
    finished = models.DateTimeField(null=True, blank=True)
    summary = models.FileField(storage=report_storage, max_length=200, blank=True)
    error = models.TextField(blank=True)
    finisher_id = models.CharField(max_length=64, blank=True, editable=False)

    class Meta:
        ordering = ("-started", "-pk")

    def __str__(self) -> str:
        return f"Reports of {self.label}"

    @property
    def label(self) -> str:
        return Period.parse(self.period).label

    @property
    def is_active(self) -> bool:
        return self.state in (self.State.RUNNING, self.State.FINISHING)


class ReportChunk(models.Model):
    """Customers whose reports one task makes.

    Attributes:
        task_id: of the durable task that does.
        done, failed: as of its run, so far; the run counts them when the chunk is finished.
    """

    run = models.ForeignKey(ReportRun, on_delete=models.CASCADE, related_name="chunks")
    task_id = models.CharField(max_length=64, blank=True)
    size = models.PositiveIntegerField()
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    finished = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = (models.Index("run", "finished", name="chunk_run_finished"),)

    def __str__(self) -> str:
        return f"Chunk {self.pk} of {self.run_id}"


class CustomerReport(models.Model):
    """One customer's report of one period.

    Attributes:
        checksum: SHA-256 of the file, in hexadecimal.
        state_since: when the state was last changed.
        edition: how often it was begun anew; each has a mail of its own.
        without_mail: whether this edition is made only.
        tries: how often the mail server has taken this mail not yet, since it was last begun.
        not_before: when a report that is pending is mailed at the earliest.
        total: of the orders, and `adjusted` of the refunds and corrections that were made.
        missing_since: when the cleanup first found that the file is not in the storage.
    """

    class State(models.TextChoices):
        PENDING = "pending", "To be made"
        SENDING = "sending", "Being mailed"  # committed just before the mail server is asked
        SENT = "sent", "Mailed"
        KEPT = "kept", "Made; no mail wanted"
        FAILED = "failed", "Failed"
        UNKNOWN = "unknown", "Perhaps mailed"  # what was sending it died before it heard

    TO_DO = (State.PENDING, State.SENDING)  # the latter until somebody has looked into the archive
    DONE = (State.SENT, State.KEPT)
    AMISS = (State.FAILED, State.UNKNOWN)

    run = models.ForeignKey(ReportRun, on_delete=models.CASCADE, related_name="reports")
    chunk = models.ForeignKey(
        ReportChunk, on_delete=models.SET_NULL, null=True, related_name="reports"
    )
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="reports")
    period = models.CharField(max_length=7)
    state = models.CharField(max_length=7, choices=State, default=State.PENDING)
    state_since = models.DateTimeField(default=timezone.now)
    orders = models.PositiveIntegerField(default=0)
    items = models.PositiveIntegerField(default=0)
    total = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    adjusted = models.DecimalField(max_digits=12, decimal_places=2, default=0, db_default=0)
    file = models.FileField(storage=report_storage, max_length=200, blank=True)
    checksum = models.CharField(max_length=64, blank=True)
    missing_since = models.DateTimeField(null=True, blank=True, editable=False)
    edition = models.PositiveSmallIntegerField(default=1, db_default=1, editable=False)
    without_mail = models.BooleanField(default=False, db_default=False, editable=False)
    tries = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    not_before = models.DateTimeField(null=True, blank=True, editable=False)
    sent_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ("-period", "pk")
        constraints = (
            models.UniqueConstraint("customer", "period", name="report_customer_period_unique"),
        )
        indexes = (models.Index("run", "state", name="report_run_state"),)

    def __str__(self) -> str:
        return f"Report {self.period} of customer {self.customer_id}"

    @property
    def label(self) -> str:
        return Period.parse(self.period).label

    @property
    def has_file(self) -> bool:
        return bool(self.file) and self.missing_since is None

    @property
    def can_be_remade(self) -> bool:
        return self.state in (*self.DONE, self.State.FAILED)

    @classmethod
    def require_storage(cls) -> None:
        """Raise StorageAway unless the storage is the one that reports were put into."""
        with_file = cls.objects.exclude(file="").order_by("-pk")
        require_storage(with_file.values_list("file", flat=True)[:LATEST])


class SentSlot(models.Model):
    """A scheduled moment for which beat has sent a job: the row is won by one beat only."""

    schedule = models.CharField(max_length=200)
    due = models.DateTimeField()
    sent = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (models.UniqueConstraint("schedule", "due", name="slot_unique"),)

    def __str__(self) -> str:
        return f"{self.schedule} at {self.due:%Y-%m-%d %H:%M}"


class Cleanup(models.Model):
    """What one nightly cleanup removed, or in a dry run would have.

    Attributes:
        removed: how many of what.
    """

    started = models.DateTimeField(default=timezone.now)
    finished = models.DateTimeField(null=True, blank=True)
    dry_run = models.BooleanField(default=False)
    removed = models.JSONField(default=dict)

    class Meta:
        ordering = ("-started",)

    def __str__(self) -> str:
        return f"Cleanup of {self.started:%Y-%m-%d %H:%M}"

    @property
    def counts(self) -> list[tuple[str, int]]:
        """What was removed, in words, and how many."""
        return [
            (name.replace("_", " "), count)
            for name, count in self.removed.items()
            if name != "errors"
        ]
