"""The ASGI application that uvicorn serves: Django, and what lives as long as the server does."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django_application = get_asgi_application()

# Models and settings are ready only after Django is set up.
from hybrid_tasks.lifespan import Lifespan  # noqa: E402
from meats.mail import shared_mail_connection  # noqa: E402
from meats.outgoing import shared_client  # noqa: E402
from project.health import Health  # noqa: E402
from project.readiness import project_readiness  # noqa: E402

# The tasks end first and may use the connections until they have.
application = Lifespan(
    Health(django_application, project_readiness()), shared_client, shared_mail_connection
)
