"""Connections to brokers that fail fast, and what their errors say."""

from contextlib import suppress
from typing import Any

from celery import Celery
from celery.app.control import TERM_SIGNAME
from kombu.exceptions import OperationalError

from hybrid_tasks.exceptions import BrokerUnavailable
from hybrid_tasks.results.store import AWAY

type Connection = Any  # kombu's, which has no types

CONNECT_SECONDS = 2.0  # more than a handshake with TLS takes
ANSWER_SECONDS = 1.0  # that a broker has to answer, once it is connected

# Where a project's own `broker_transport_options` say nothing else: a broker that hangs or refuses
# must cost about a second.
DEFAULTS: dict[str, dict[str, Any]] = {
    "redis": {
        "max_retries": 0,
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": ANSWER_SECONDS,
    }
}
# Whatever they say: without, a connection that is cut loses what was written last.
NEEDED: dict[str, dict[str, Any]] = {"amqp": {"confirm_publish": True}}


def connected(app: Celery) -> Connection:
    """Return a new connection to the broker to which `app` sends. Raises BrokerUnavailable."""
    connection = unconnected(app)
    try:
        # One try at each of the broker's addresses.
        connection.ensure_connection(max_retries=max(0, len(connection.alt) - 1))
        limit_waiting(connection)
    except Exception as error:
        drop(connection)
        raise BrokerUnavailable(f"The broker cannot be reached: {error!r}") from error
    return connection


def unconnected(app: Celery) -> Connection:
    given = app.conf.broker_transport_options or {}
    driver = driver_of(app)
    return app.connection_for_write(
        transport_options={**DEFAULTS.get(driver, {}), **given, **NEEDED.get(driver, {})},
        connect_timeout=min(app.conf.broker_connection_timeout or CONNECT_SECONDS, CONNECT_SECONDS),
    )


def driver_of(app: Celery) -> str:
    """Return the kind of the broker to which `app` sends: "redis", "amqp" or another."""
    driver: str = app.connection_for_write().transport.driver_type
    return driver


def limit_waiting(connection: Connection) -> None:
    """Let each wait for an answer end in time, where the transport has no option for that.

    (The options `read_timeout` and `write_timeout` of AMQP only make it look again.)
    """
    if connection.transport.driver_type == "amqp":
        with suppress(AttributeError):  # a client other than Python's own
            connection.connection.transport.sock.settimeout(ANSWER_SECONDS)


def drop(connection: Connection) -> None:
    """Close a connection without a word to the broker, which may not listen."""
    with suppress(Exception):  # it is broken already
        connection.collect(socket_timeout=0)


def says_away(error: BaseException, connection: Connection) -> bool:
    """Return whether an error of sending says that the broker cannot be reached, or takes nothing.

    All others are the message's own, those of the channel among them.
    """
    if isinstance(error, BrokerUnavailable):
        return True
    if isinstance(error, OperationalError) and error.__cause__ is not None:
        return says_away(error.__cause__, connection)
    # Kombu counts KeyError among the errors of a connection to Redis; a queue that a project does
    # not know is one.
    if isinstance(error, connection.connection_errors) and not isinstance(error, LookupError):
        return True
    names = {kind.__name__ for kind in type(error).__mro__}
    return not AWAY.isdisjoint(names) or not connection.connected


def revoke(app: Celery, task_id: str) -> None:
    """Have all workers drop a task, and end the process that runs it.

    Raises BrokerUnavailable, or what the transport raises.
    """
    connection = connected(app)
    try:
        mailbox = app.control.mailbox(connection)
        # Celery's own pool waits for a broker for ever, and a forked child would share it.
        mailbox.producer_pool = None
        arguments = {"task_id": task_id, "terminate": True, "signal": TERM_SIGNAME}
        mailbox.abcast("revoke", arguments)
    finally:
        drop(connection)
