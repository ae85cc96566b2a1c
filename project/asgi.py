"""The ASGI application that uvicorn serves: Django, and what lives as long as the server does."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django_application = get_asgi_application()

# Models and settings are ready only after Django is set up.
from django.conf import settings  # noqa: E402

from hybrid_tasks.lifespan import Lifespan  # noqa: E402
from meats.mail import shared_mail_pool  # noqa: E402
from meats.outgoing import shared_client  # noqa: E402
from project.bodies import Bodies  # noqa: E402
from project.health import Health  # noqa: E402
from project.readiness import project_readiness  # noqa: E402

guarded = Bodies(
    django_application, max_bytes=settings.MAX_BODY_BYTES, seconds=settings.BODY_TIMEOUT
)
# The tasks end first and may use the connections until they have.
application = Lifespan(Health(guarded, project_readiness()), shared_client, shared_mail_pool)
