"""The end of each history: all is made well, time passes, and everything must come to its end."""

from typing import TYPE_CHECKING, Any

from hybrid_tasks.outbox.table import DEAD
from tests.world import database
from tests.world.judging import judge, judge_end, unfinished
from tests.world.steps.operations import Relay
from tests.world.steps.processes import KINDS, Stop

if TYPE_CHECKING:
    from tests.world.world import World

ROUNDS = 300
AS_THEY_ARE = 4  # rounds after which the processes of the history are told to stop
TICK = 0.01  # seconds that time passes at least, so that leases have surely ended


def heal(world: "World") -> None:
    """Make the world well, let time pass until nothing more happens, and judge what is left."""
    if world.faults.cache:
        world.ledger.forget()
    world.faults.heal()
    world.well = True
    for process in world.processes.values():
        process.hung = False
    for kind in ("web", "worker", "command"):
        process = KINDS[kind](world, f"last {kind}")
        world.start(process)
    for number in range(ROUNDS):
        if number == AS_THEY_ARE:
            stop(world)
        feed(world)
        if world.problems:
            return
        if at_rest(world):
            break
        if any(is_due(row, world) for row in world.rows()):
            Relay("last command").take(world)
            feed(world)
        judge(world)
        jump(world)
    judge(world)
    judge_end(world)


def stop(world: "World") -> None:
    """Stop, in order, all processes but those that have just started."""
    for process in list(world.processes.values()):
        if not process.name.startswith("last"):
            Stop(process.name).take(world)


def feed(world: "World") -> None:
    """Let workers take all messages that wait, and all processes do what they can do now."""
    world.settle()
    while world.broker.waiting:
        for letter in list(world.broker.waiting):
            takers = [it for it in world.workers() if it.active and not it.stopping]
            entry = world.ledger.by_id(letter.task_id)
            takers[-1].take(letter, entry.label if entry else letter.task_id)
            world.settle()


def at_rest(world: "World") -> bool:
    """Return whether all has ended, and all is told."""
    if any(row["state"] != DEAD for row in world.rows()):
        return False
    if world.broker.taken or world.broker.waiting:
        return False
    return not unfinished(world) and not any(
        len(engine) for process in world.active() for engine in process.engines()
    )


def is_due(row: dict[str, Any], world: "World") -> bool:
    return row["state"] != DEAD and database.seconds(row["available_at"]) <= world.time


def jump(world: "World") -> None:
    """Let time pass until something can happen."""
    world.broker.restore_late(world.time)
    times = [end for _, end in world.broker.taken.values()]
    times += [database.seconds(row["available_at"]) for row in world.rows() if row["state"] != DEAD]
    deadline = world.next_deadline()
    if deadline is not None:
        times.append(deadline)
    later = [time for time in times if time > world.time]
    world.time = max(world.time + TICK, min(later, default=world.time + 1.0) + TICK)
