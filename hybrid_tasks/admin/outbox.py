"""The outbox in the admin: to look at, to try again, to discard."""

from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import pluralize
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from hybrid_tasks.admin.columns import (
    OutboxColumns,
    Standing,
    StandingFilter,
    content_of,
    errors_of,
)
from hybrid_tasks.admin.operations import DISCARD, RETRY, Operation, OutboxModelAdmin, operate
from hybrid_tasks.models import OutboxQuerySet, OutboxTask
from hybrid_tasks.outbox import table

WARNED = "_hybrid_tasks_warned"  # on a request: its page has been asked for the warning


@admin.register(OutboxTask)
class OutboxTaskAdmin(OutboxColumns, OutboxModelAdmin):
    """Rows come from tasks and go with them: nothing is added, edited or deleted here.

    What can be done are the two operations, each by who may change or delete rows.
    """

    change_list_template = "hybrid_tasks/outbox_change_list.html"
    change_form_template = "hybrid_tasks/outbox_change_form.html"
    list_display = (
        *("task_shown", "state_shown", "last_error", "attempts_shown", "available", "created"),
        *("backend", "queue_name"),
    )
    list_filter = (
        StandingFilter,
        ("task_path", admin.AllValuesFieldListFilter),
        ("backend", admin.AllValuesFieldListFilter),
        ("queue_name", admin.AllValuesFieldListFilter),
        ("created_at", admin.DateFieldListFilter),
    )
    search_fields = ("id__exact", "task_path")
    search_help_text = "A task's id, or a part of its path."
    ordering = ("-created_at",)
    list_per_page = 50
    show_full_result_count = False  # counting everything takes longer than the page
    actions = (RETRY.action, DISCARD.action)

    class Media:
        css = {"all": ("hybrid_tasks/outbox.css",)}  # noqa: RUF012 - as Django reads it

    def get_queryset(self, request: HttpRequest) -> OutboxQuerySet:
        """Return the rows of the database that takes writes: a replica may lag behind."""
        return table.rows().with_standing()

    def get_fieldsets(self, request: HttpRequest, obj: OutboxTask | None = None) -> Any:
        content = ("arguments", "keyword_arguments", "metadata", "options", "workers")
        readable = obj is None or "unreadable" not in content_of(obj)
        about = ("task_path", "id", "state_shown", "backend", "queue_name", "priority")
        course = ("attempts_shown", "sends", "available", "created", "claimed_by")
        return (
            (None, {"fields": about}),
            ("Course", {"fields": course}),
            ("Content", {"fields": content if readable else ("unreadable",)}),
        )

    # --- Who may do what -------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return RETRY.allowed(request)

    def has_discard_permission(self, request: HttpRequest) -> bool:
        return DISCARD.allowed(request)

    # --- What can be done ------------------------------------------------------------------------

    @admin.action(permissions=["retry"], description=RETRY.label)
    def retry_selected(self, request: HttpRequest, rows: OutboxQuerySet) -> HttpResponse | None:
        return operate(self, request, RETRY, rows, back=request.get_full_path())

    @admin.action(permissions=["discard"], description=DISCARD.label)
    def discard_selected(self, request: HttpRequest, rows: OutboxQuerySet) -> HttpResponse | None:
        return operate(self, request, DISCARD, rows, back=request.get_full_path())

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                f"<path:object_id>/{operation.name}/",
                self.admin_site.admin_view(partial(self.operate_on_one, operation=operation)),
                name=f"hybrid_tasks_outboxtask_{operation.name}",
            )
            for operation in (RETRY, DISCARD)
        ]
        return own + super().get_urls()

    def operate_on_one(
        self, request: HttpRequest, object_id: str, operation: Operation
    ) -> HttpResponse:
        """Confirm and do an operation from the page of one row."""
        if not operation.allowed(request) or not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_queryset(request).filter(pk=unquote(object_id))
        if row.exists():
            asked = operate(self, request, operation, row, back=self.address("change", object_id))
            if asked is not None:
                return asked
        else:
            messages.warning(request, "This task is not in the outbox any more.")
        # Not back to the row, which may be gone as soon as it is due.
        return HttpResponseRedirect(self.address("changelist"))

    def address(self, page: str, *args: str) -> str:
        name = f"admin:hybrid_tasks_outboxtask_{page}"
        return reverse(name, args=args, current_app=self.admin_site.name)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        context = {
            "errors_of_attempts": errors_of(row) if row else [],
            "operations": [
                (operation, self.address(operation.name, object_id))
                for operation in (RETRY, DISCARD)
                if row and operation.allowed(request) and row.standing not in operation.refusals
            ],
        }
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    # --- The warning -----------------------------------------------------------------------------

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        """Warn of dead letters, too, on the admin's index and on the index of this app.

        Each AdminSite asks this of each model to build its indexes. So the warning needs no
        template of the index, which a project may override too and which Django finds or not by
        the order of INSTALLED_APPS, no AdminSite of our own and no middleware: it is one of the
        messages that every page of the admin shows, with any project's templates.
        """
        match = request.resolver_match
        if (
            match is not None
            and match.namespace == self.admin_site.name
            and match.url_name in ("index", "app_list")
            and not hasattr(request, WARNED)  # a page asks twice: it has a sidebar, too
            and self.has_view_permission(request)
        ):
            setattr(request, WARNED, True)
            self.warn_of_dead_letters(request)
        return super().get_model_perms(request)

    def warn_of_dead_letters(self, request: HttpRequest) -> None:
        dead = table.rows().dead().count()
        if not dead:
            return
        address = f"{self.address('changelist')}?{StandingFilter.parameter_name}={Standing.DEAD}"
        text = format_html(
            '<a href="{}">{} dead letter{} in the outbox</a>', address, dead, pluralize(dead)
        )
        messages.warning(request, text, fail_silently=True)
