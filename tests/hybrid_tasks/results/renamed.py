"""Tasks whose names tell nobody where they are."""

from django.tasks import task as django_task

from hybrid_tasks.tasks import task


def function() -> str:
    return "called"


renamed = task(function)


@django_task
def plain() -> str:
    return "plain"
