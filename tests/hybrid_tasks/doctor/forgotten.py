"""An ASGI application as Django makes it, around which nothing was put."""

from django.core.asgi import get_asgi_application

application = get_asgi_application()
