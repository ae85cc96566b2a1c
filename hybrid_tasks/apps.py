"""The hybrid_tasks app."""

from django.apps import AppConfig


class HybridTasksConfig(AppConfig):
    name = "hybrid_tasks"
    verbose_name = "Hybrid tasks"

    def ready(self) -> None:
        """Load the checks, and the backends, so that workers know the tasks."""
        from django.tasks import task_backends

        from hybrid_tasks import checks  # noqa: F401
        from hybrid_tasks.doctor.tasks import define_ping

        backends = task_backends.all()
        if any(getattr(backend, "supports_accept", False) for backend in backends):
            from hybrid_tasks.relay import task  # noqa: F401  # needs Celery
        define_ping()
