"""The promises of the core, judged by all that can be seen of the world."""

import json
from typing import TYPE_CHECKING, Any

from hybrid_tasks.outbox.table import CLAIMED, DEAD
from hybrid_tasks.results.states import encoded_rank
from hybrid_tasks.results.store import CLAIM_PREFIX
from hybrid_tasks.results.task_result import STEP_ENDED
from tests.world.entry import Entry, told

if TYPE_CHECKING:
    from tests.world.world import World


def judge(world: "World") -> None:
    """Judge what must hold after every step."""
    rows = {row["id"]: row for row in world.rows()}
    for entry in world.ledger.entries.values():
        row = rows.get(entry.id)
        if row is not None:
            entry.generation = max(entry.generation, generation_of(row))
        elif is_waited_for(entry) and entry.durable:
            world.blame(f"{entry.label} was accepted, has not ended and has no row")


def is_waited_for(entry: Entry) -> bool:
    """Return whether a task was accepted, has not ended, and nobody has tried to end it."""
    if entry.accepted is None or entry.over or entry.generation in entry.tried:
        return False
    # Where nobody knows its code, an ordinary one fails without a signal.
    return entry.durable or entry.process.world.kept_rank(entry)[2] != STEP_ENDED


def generation_of(row: dict[str, Any]) -> int:
    """Return in which of its lives the task of a row is."""
    rank = encoded_rank(row["message"])
    if rank:
        return int(rank[:3])
    return int(json.loads(row["message"]).get("generation", 0))


def unfinished(world: "World") -> list[Entry]:
    """Return the accepted tasks that have not ended and are no dead letters."""
    dead = {row["id"] for row in world.rows() if row["state"] == DEAD}
    return [
        entry
        for entry in world.ledger.entries.values()
        if is_waited_for(entry) and entry.id not in dead
    ]


def judge_end(world: "World") -> None:
    """Judge what must hold when the world was well for long enough."""
    rows = world.rows()
    for row in rows:
        entry = world.ledger.by_id(row["id"])
        label = entry.label if entry else row["id"]
        if row["state"] == CLAIMED:
            world.blame(f"{label} stays claimed by {row['claimed_by']} for ever")
        elif row["state"] != DEAD:
            world.blame(f"{label} stays {row['state']} in the outbox for ever")
    for entry in unfinished(world):
        if entry.durable or not (lost_with_process(entry) or is_only_claimed(entry)):
            world.blame(f"{entry.label} was accepted and never ends")
    for entry in world.ledger.entries.values():
        if entry.accepted is None or entry.forgets or entry.tried or lost_with_process(entry):
            continue
        rank = world.kept_rank(entry)
        if entry.over and rank[2] != STEP_ENDED:
            world.blame(f"{entry.label} has ended, but its result stays {told(rank)}")


def is_only_claimed(entry: Entry) -> bool:
    """Return whether a worker was killed between two commands by which an attempt begins.

    The cache knows that it was claimed, and not that it began: an ordinary task may be lost then.
    """
    world = entry.process.world
    generation, attempts, _ = world.kept_rank(entry)
    claim = f"{CLAIM_PREFIX}{entry.id}:{max(generation, 0)}:{attempts + 1}"
    return not entry.durable and world.cache.peek(claim) is not None


def lost_with_process(entry: Entry) -> bool:
    """Return whether an ordinary task may be lost, or the end of a task not be told.

    A process that knew of it was killed, or has ended in order although it could not reach the
    database for long; or the broker has lost its message.
    """
    if entry.lost and not entry.durable:
        return True
    runners = [run.process for run in entry.runs]
    knew = [entry.process, *runners, *entry.tellers, *entry.turned_away]
    return any(process.dead or (process.ended and process.cuts) for process in knew)
