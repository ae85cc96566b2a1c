"""What an operator can do with rows of the outbox in the admin: words, rules, confirmation."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.auth import get_permission_codename
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import pluralize
from django.template.response import TemplateResponse

from hybrid_tasks.models import OutboxQuerySet, OutboxTask
from hybrid_tasks.relay import interventions

if TYPE_CHECKING:
    OutboxModelAdmin = admin.ModelAdmin[OutboxTask]
else:
    OutboxModelAdmin = admin.ModelAdmin

Standing = OutboxTask.Standing

LISTED = 100  # tasks that a confirmation page names; of the others it says how many

HELD = "a process has claimed it and runs it, or is about to"


@dataclass(frozen=True)
class Operation:
    """One thing to do.

    Attributes:
        name: in addresses.
        action: in the list's menu.
        permission: of Django's, that a user needs for it.
        flag: of the admin's history.
        label: of the button.
        done: what has then happened to a task.
        consequence: what will happen, for the confirmation page.
        refusals: why it cannot be done, by the row's standing.
        perform: does it; returns the ids of the rows to which it was done.
    """

    name: str
    action: str
    permission: str
    flag: int
    label: str
    done: str
    consequence: str
    refusals: dict[OutboxTask.Standing, str]
    perform: Callable[[Collection[str]], list[str]]

    def allowed(self, request: HttpRequest) -> bool:
        """Return whether the user may do it."""
        opts = OutboxTask._meta
        codename = get_permission_codename(self.permission, opts)
        return request.user.has_perm(f"{opts.app_label}.{codename}")


RETRY = Operation(
    name="retry",
    action="retry_selected",
    permission="change",
    flag=CHANGE,
    label="Retry now",
    done="due now: the relay sends it when it next runs",
    consequence=(
        "The relay sends these tasks to the workers when it next runs. A dead letter gets all its"
        " attempts again under the same id; what it did before it failed may be done twice."
        " A scheduled task does not wait for its time."
    ),
    refusals={
        Standing.CLAIMED: HELD,
        Standing.ABANDONED: "the relay rescues it when it next runs",
        Standing.SENT: "it was sent to the broker and waits for a worker",
    },
    perform=interventions.retry,
)

DISCARD = Operation(
    name="discard",
    action="discard_selected",
    permission="delete",
    flag=DELETION,
    label="Discard",
    done="discarded",
    consequence=(
        "These tasks are removed from the outbox and never run again. This cannot be undone."
        " Look-ups of those that had not failed will say that they were cancelled."
    ),
    refusals={Standing.CLAIMED: HELD},
    perform=interventions.discard,
)


def operate(
    model_admin: OutboxModelAdmin,
    request: HttpRequest,
    operation: Operation,
    queryset: OutboxQuerySet,
    back: str,
) -> HttpResponse | None:
    """Ask for confirmation, or do what was confirmed; None when there is nothing more to ask."""
    standings = {row.pk: row.standing for row in queryset.order_by().only("pk")}
    ids = [pk for pk, standing in standings.items() if standing not in operation.refusals]
    refused = Counter(standings[pk] for pk in standings.keys() - set(ids))
    if ids and not request.POST.get("post"):
        return confirmation(model_admin, request, operation, queryset, ids, refused, back)
    if ids:
        perform(request, operation, queryset, ids)
    for reason in reasons(operation, refused):
        messages.error(request, reason)
    return None


def perform(
    request: HttpRequest, operation: Operation, queryset: OutboxQuerySet, ids: list[str]
) -> None:
    rows = {row.pk: row for row in queryset.defer("message").filter(pk__in=ids)}
    done = operation.perform(ids)
    user: Any = request.user  # nobody else gets here than one who has an account
    LogEntry.objects.log_actions(
        user.pk,
        [rows[pk] for pk in done if pk in rows],
        operation.flag,
        [] if operation.flag == DELETION else f"{operation.label}.",
    )
    if done:
        messages.success(request, f"{count(len(done))}: {operation.done}.")
    if late := len(ids) - len(done):
        messages.warning(request, f"{count(late)}: left alone, as it changed meanwhile.")


def confirmation(
    model_admin: OutboxModelAdmin,
    request: HttpRequest,
    operation: Operation,
    queryset: OutboxQuerySet,
    ids: list[str],
    refused: Counter[OutboxTask.Standing],
    back: str,
) -> HttpResponse:
    across = request.POST.get("select_across") == "1"
    context = {
        **model_admin.admin_site.each_context(request),
        "title": f"{operation.label}: {count(len(ids))}",
        "opts": model_admin.opts,
        "media": model_admin.media,
        "operation": operation,
        "rows": queryset.defer("message").filter(pk__in=ids[:LISTED]),
        "more": max(0, len(ids) - LISTED),
        "reasons": list(reasons(operation, refused)),
        # Thousands of ids would be more fields than Django takes: the filters find them again, and
        # one id tells Django that something is selected.
        "across": across,
        "selected": ids[:1] if across else ids,
        "checkbox_name": helpers.ACTION_CHECKBOX_NAME,
        "back": back,
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, "hybrid_tasks/outbox_confirmation.html", context)


def reasons(operation: Operation, refused: Counter[OutboxTask.Standing]) -> Iterable[str]:
    """Yield a sentence for each kind of row to which nothing can be done."""
    for standing, number in refused.items():
        yield f"{count(number)}: left alone ({standing.label}), as {operation.refusals[standing]}."


def count(number: int) -> str:
    return f"{number} task{pluralize(number)}"
