"""What the admin shows of a row of the outbox, and how."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import is_aware, localtime

from hybrid_tasks.models import OutboxQuerySet, OutboxTask

Standing = OutboxTask.Standing

# What `available_at` means for a row of each standing.
AVAILABLE = {
    Standing.WAITING: "due since",
    Standing.SCHEDULED: "due at",
    Standing.CLAIMED: "lease ends",
    Standing.ABANDONED: "lease ended",
    Standing.SENT: "sent again after",
    Standing.DEAD: "failed at",
}

ROWS: dict[str | None, Callable[[OutboxQuerySet], OutboxQuerySet]] = {
    Standing.WAITING: OutboxQuerySet.waiting,
    Standing.SCHEDULED: OutboxQuerySet.scheduled,
    Standing.CLAIMED: OutboxQuerySet.claimed,
    Standing.ABANDONED: OutboxQuerySet.abandoned,
    Standing.SENT: OutboxQuerySet.sent,
    Standing.DEAD: OutboxQuerySet.dead,
}


class StandingFilter(admin.SimpleListFilter):
    """By what an operator calls a row's state."""

    title = "state"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(standing.value, standing.label) for standing in Standing]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        of_standing = ROWS.get(self.value())
        return of_standing(queryset) if of_standing else queryset  # type: ignore[arg-type]


class OutboxColumns:
    """The columns and fields that are not the model's own."""

    @admin.display(description="task", ordering="task_path")
    def task_shown(self, row: OutboxTask) -> SafeString:
        return dotted(row.task_path)

    @admin.display(description="state", ordering="state")
    def state_shown(self, row: OutboxTask) -> SafeString:
        standing = row.standing
        return format_html('<span class="outbox-{}">{}</span>', standing.value, standing.label)

    @admin.display(description="attempts", ordering="attempts")
    def attempts_shown(self, row: OutboxTask) -> str:
        return f"{row.attempts} of {row.max_attempts}"

    @admin.display(description="available", ordering="available_at")
    def available(self, row: OutboxTask) -> SafeString:
        return format_html("{} {}", AVAILABLE[row.standing], moment(row.available_at))

    @admin.display(description="created", ordering="created_at")
    def created(self, row: OutboxTask) -> SafeString:
        return moment(row.created_at)

    @admin.display(description="last error")
    def last_error(self, row: OutboxTask) -> SafeString | None:
        errors = errors_of(row)
        return dotted(errors[-1][0].removeprefix("builtins.")) if errors else None

    @admin.display(description="arguments")
    def arguments(self, row: OutboxTask) -> SafeString:
        return pretty(content_of(row).get("args"))

    @admin.display(description="keyword arguments")
    def keyword_arguments(self, row: OutboxTask) -> SafeString:
        return pretty(content_of(row).get("kwargs"))

    @admin.display(description="metadata")
    def metadata(self, row: OutboxTask) -> SafeString:
        return pretty(content_of(row).get("metadata"))

    @admin.display(description="options")
    def options(self, row: OutboxTask) -> SafeString:
        options = content_of(row).get("task")
        if isinstance(options, dict):
            options.pop("path", None)
        return pretty(options)

    @admin.display(description="workers, by attempt")
    def workers(self, row: OutboxTask) -> SafeString:
        return pretty(content_of(row).get("worker_ids"))

    @admin.display(description="unreadable message")
    def unreadable(self, row: OutboxTask) -> SafeString:
        return block(str(content_of(row).get("unreadable")))


def content_of(row: OutboxTask) -> dict[str, Any]:
    """Return what the row's message holds, or under `unreadable` the message itself."""
    try:
        content = row.content
    except ValueError:
        return {"unreadable": row.message}
    return content if isinstance(content, dict) else {"unreadable": row.message}


def errors_of(row: OutboxTask) -> list[tuple[str, str]]:
    """Return the path of the exception and the traceback of each attempt that failed."""
    errors = content_of(row).get("errors")
    pairs = errors if isinstance(errors, list) else []
    return [
        (printable(str(pair[0])), printable(str(pair[1])))
        for pair in pairs
        if isinstance(pair, list) and len(pair) == 2
    ]


def printable(text: str) -> str:
    """Return a text that a page can hold: halves of surrogate pairs are JSON's, but no UTF-8."""
    return text.encode(errors="backslashreplace").decode()


def dotted(path: str) -> SafeString:
    """Return a path that a narrow column breaks at its dots."""
    return format_html_join(SafeString(".<wbr>"), "{}", ((part,) for part in path.split(".")))


def pretty(value: Any) -> SafeString:
    return block(json.dumps(value, indent=2, ensure_ascii=False))


def block(text: str) -> SafeString:
    return format_html('<pre class="outbox-text">{}</pre>', printable(text))


def moment(value: datetime) -> SafeString:
    """Return a time to the second, which is what leases are measured in."""
    local = localtime(value) if is_aware(value) else value
    return format_html(
        '<time datetime="{}" class="outbox-moment"><span>{}</span> <span>{}</span></time>',
        local.isoformat(timespec="seconds"),
        date_format(local, "Y-m-d"),
        date_format(local, "H:i:s"),
    )
