"""The Celery applications that the test's process sends with; conftest gives each its broker."""

from celery import Celery

from tests.documented import TITLES, broker_settings
from tests.processes import PATIENCE


def application(name: str) -> Celery:
    app = Celery(name, set_as_current=False)
    app.config_from_object(broker_settings(TITLES[name]), namespace="CELERY")
    # A machine that hangs for some seconds is no broker that is away: no relay runs here for that.
    app.conf.broker_transport_options = {
        **app.conf.broker_transport_options,
        "socket_timeout": PATIENCE,
    }
    return app


valkey = application("valkey")
rabbitmq = application("rabbitmq")
quorum = application("quorum")
