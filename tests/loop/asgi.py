"""The ASGI application that the servers run."""

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from hybrid_tasks.lifespan import Lifespan  # noqa: E402 - after Django is set up

application = Lifespan(django_application)
