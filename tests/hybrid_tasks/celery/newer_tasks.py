"""A task that the workers of the tests do not know: they run an older version."""

from hybrid_tasks.tasks import task


@task
def newer(meat: str) -> str:
    return meat
