"""The operations that meet: of each two, and of some three, all orders are played."""

from tests.world.entry import Spec
from tests.world.orders import Meeting
from tests.world.steps.asking import Cancel
from tests.world.steps.broker import Deliver, Double
from tests.world.steps.enqueuing import Enqueue
from tests.world.steps.operations import Discard, Relay, Retry
from tests.world.steps.processes import Awake, Go, Hang, Pass, Settle, Start, Stop
from tests.world.steps.step import Step

RAISES = Spec(attempts=2, script=(("raise", 1.0),))
ORDINARY = Spec(durable=False, attempts=2, script=(("raise", 1.0),))
RETURNS = Spec(attempts=2, script=(("return", 1.0),))
HANGS = Spec(attempts=2, script=(("return", 20.0),))
LATER = Spec(attempts=2, after=20.0)
FAILS = Spec(alias="celery", script=(("raise", 0.0),))
SENT = Spec(alias="celery", attempts=2, script=(("return", 1.0),))
LEASE = 12.0

WORLD = (Start("web1"), Start("command1", "command"), Start("command2", "command"), Settle())
WITH_WORKERS = (*WORLD, Start("worker1", "worker"), Start("worker2", "worker"), Settle())


def running(spec: Spec, seconds: float) -> tuple[Step, ...]:
    """Return the steps after which a task has run on the loop for so long; the loop waits."""
    return (*WORLD, Enqueue("web1", "t1", spec), Settle(), Pass(seconds))


def sent(spec: Spec = SENT) -> tuple[Step, ...]:
    """Return the steps after which a task is with the broker."""
    return (*WITH_WORKERS, Enqueue("web1", "t1", spec), Settle())


# A task runs, and two more wait behind two of its kind: a stop hands them over.
CROWD = (
    *WORLD,
    *(Enqueue("web1", f"t{number}", HANGS) for number in (1, 2, 3, 4)),
    Settle(),
)
# The lease of a task has ended while its process hung; that process goes on.
LAPSED = (*running(HANGS, 1.0), Hang("web1"), Pass(LEASE), Relay("command1"), Settle("command1"))
FAILED = (*sent(FAILS), Deliver("worker1", "t1"), Settle(), Pass(0.1), Settle())
WAITING = (*WORLD, Enqueue("web1", "t1", LATER), Settle(), Pass(0.1), Settle(), Pass(20.0))
RENEWS = (*running(HANGS, 0.5), Pass(0.5), Pass(0.5), Pass(0.5), Pass(0.5), Pass(0.5), Pass(0.5))

LOOP = ("web1/loop", "web1/outbox")
STOPPING = (*LOOP, "web1/thread", "web1/publisher")
HERE, BESIDE = Cancel("web1", "t1"), Cancel("web1", "t1", on_loop=False)
THERE = Cancel("command1", "t1", on_loop=False)
RELAY, OTHER_RELAY = Relay("command1"), Relay("command2")

MEETINGS = (
    Meeting("cancel, end", running(RAISES, 1.0), (HERE,), LOOP),
    Meeting("cancel by a thread, end", running(RAISES, 1.0), (BESIDE,), (*LOOP, "web1/cancel"), 1),
    Meeting("cancel, end of an ordinary", running(ORDINARY, 1.0), (HERE,), LOOP),
    Meeting(
        "cancel by a thread, end of an ordinary",
        running(ORDINARY, 1.0),
        (BESIDE,),
        (*LOOP, "web1/cancel"),
    ),
    Meeting("cancel elsewhere, end", running(RETURNS, 1.0), (THERE,), (*LOOP, "command1/")),
    Meeting(
        "cancel elsewhere, next attempt", running(RAISES, 1.0), (THERE,), (*LOOP, "command1/"), 1
    ),
    Meeting("cancel, drain", running(RAISES, 1.0), (Stop("web1"), HERE), LOOP, 1),
    Meeting("cancel, hand-over", CROWD, (Stop("web1"), Cancel("web1", "t4", False)), STOPPING, 1),
    Meeting("cancel, relay", WAITING, (THERE, OTHER_RELAY), ("command1/", "command2/")),
    Meeting("cancel, renewal", RENEWS, (Pass(0.5), THERE), (*LOOP, "command1/")),
    Meeting("end, drain", running(RETURNS, 1.0), (Stop("web1"),), STOPPING),
    Meeting("end, renewal", (*running(RETURNS, 1.0), Pass(1.0)), (Pass(1.0), Pass(1.0)), LOOP),
    Meeting("renewal, relay", LAPSED, (Awake("web1"), RELAY), (*LOOP, "command1/")),
    Meeting("hand-over, relay", CROWD, (Stop("web1"), RELAY), (*STOPPING, "command1/"), 1),
    Meeting(
        "drain, relay", (*LAPSED, Awake("web1")), (Stop("web1"), RELAY), (*LOOP, "command1/"), 1
    ),
    Meeting("relay, relay", WAITING, (RELAY, OTHER_RELAY), ("command1/", "command2/")),
    Meeting(
        "retry by a person, relay",
        FAILED,
        (Retry("command1", "t1"), OTHER_RELAY),
        ("command1/", "command2/"),
    ),
    Meeting(
        "retry by a person, discard",
        FAILED,
        (Retry("command1", "t1"), Discard("command2", "t1")),
        ("command1/", "command2/"),
    ),
    Meeting(
        "cancel, delivery", sent(), (Deliver("worker1", "t1"), THERE), ("worker1", "command1/"), 0
    ),
    Meeting(
        "discard, delivery",
        sent(),
        (Deliver("worker1", "t1"), Discard("command1", "t1")),
        ("worker1", "command1/"),
    ),
    Meeting(
        "delivery, delivery",
        (*sent(), Double("t1")),
        (Deliver("worker1", "t1"), Deliver("worker2", "t1")),
        ("worker1", "worker2"),
        0,
    ),
    Meeting(
        "delivery, relay",
        (*sent(), Pass(2 * LEASE)),
        (Deliver("worker1", "t1"), RELAY),
        ("worker1", "command1/"),
        1,
    ),
    Meeting(
        "cancel, relay, relay",
        WAITING,
        (THERE, OTHER_RELAY, Relay("web1")),
        ("command1/", "command2/", "web1/relay"),
        0,
    ),
    Meeting(
        "cancel, delivery, relay",
        (*sent(), Pass(2 * LEASE)),
        (Deliver("worker1", "t1"), Cancel("command2", "t1", False), RELAY),
        ("worker1.1/run", "command1/", "command2/"),
        0,
    ),
    Meeting(
        "end, renewal, relay",
        (*LAPSED, Awake("web1"), Go("web1", "loop")),
        (RELAY, HERE),
        (*LOOP, "command1/"),
        0,
    ),
)
