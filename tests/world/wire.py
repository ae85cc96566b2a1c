"""The wire to the broker of the world: a transport of kombu, and a Celery application that uses it.

What travels is what would really be sent: the core's own publisher, Celery and kombu make it.
"""

from queue import Empty
from typing import Any, NoReturn

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES, virtual

from tests.world import stage
from tests.world.faults import BrokerAway
from tests.world.threads import point

TRANSPORT_ALIASES["world"] = f"{__name__}:Transport"


class Channel(virtual.Channel):  # type: ignore[misc]  # kombu has no types
    """Gives what is published to the broker of the world."""

    do_restore = False
    supports_fanout = True

    def _put(self, queue: str, message: dict[str, Any], **_kwargs: Any) -> None:
        reach("it sends a message")
        stage.world().broker.put(queue, message)

    def _put_fanout(self, _exchange: str, message: dict[str, Any], *_: Any, **_kwargs: Any) -> None:
        reach("it tells all workers")
        stage.world().broker.tell(self.message_to_python(message).payload)

    def _has_queue(self, queue: str, **_kwargs: Any) -> bool:
        return True

    def _get(self, _queue: str, timeout: float | None = None) -> NoReturn:
        raise Empty

    def _size(self, _queue: str) -> int:
        return 0

    def _purge(self, _queue: str) -> int:
        return 0

    def _queue_bind(self, *_: Any) -> None:
        """The world has one broker, which needs no telling."""


class Transport(virtual.Transport):  # type: ignore[misc]  # kombu has no types
    """Connects to the broker of the world, if that is there."""

    Channel = Channel
    driver_type = driver_name = "world"
    connection_errors = (BrokerAway,)
    global_state = virtual.BrokerState()

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        self.state = self.global_state

    def establish_connection(self) -> Any:
        reach("it connects to the broker")
        return super().establish_connection()


def reach(place: str) -> None:
    """Go to the broker. Raises BrokerAway if it cannot be reached."""
    point(place)
    stage.world().faults.before_broker()


app = Celery("world", broker="world://", set_as_current=False)
app.conf.task_default_queue = "default"
app.conf.broker_connection_retry_on_startup = False

_transport = Transport(app.connection_for_write())
reader = _transport.create_channel(_transport)  # with which workers read messages
