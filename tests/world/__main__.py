"""Explores the world: see the package, or `make explore`."""

import argparse
import os
import secrets
import sys
import time

from tests.world.exploring import (
    TOLD,
    drawn_text,
    explore,
    meeting_names,
    play_meeting,
    players,
    say,
    seeds,
    shrunk_text,
)

MINUTES = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.world", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one history, and tell its steps")
    parser.add_argument("--first", type=int, help="the first seed; by chance unless given")
    parser.add_argument("--histories", type=int, default=0, help="how many at most")
    parser.add_argument("--minutes", type=float, default=0.0, help="for how long at most")
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--orders", action="store_true", help="play all orders of what meets")
    parser.add_argument("--switches", type=int, help="with --orders: see tests.world.orders")
    given = parser.parse_args()
    if given.orders:
        return order(given.database, given.switches)
    if given.seed is not None:
        return tell(given.seed, given.database)
    if not given.histories and not given.minutes:
        given.minutes = MINUTES
    first = secrets.randbelow(10**9) if given.first is None else given.first
    say(f"Seeds from {first}, on {given.database}")
    began = time.monotonic()
    with players(given.database) as pool:
        found = explore(pool, seeds(first, given.histories, given.minutes))
        kinds = {played.kind: played for played in reversed(found.failures)}
        for played in list(kinds.values())[:TOLD]:
            say(f"\nmake explore SEED={played.seed}")
            say(pool.apply(shrunk_text, (played.seed,)))
    seconds = time.monotonic() - began
    say(f"\n{seconds:.0f} s, {found.steps / max(1, found.histories):.1f} steps on average")
    say(found)
    return 1 if found.failures else 0


def tell(seed: int, database: str) -> int:
    """Play the history of a seed, and the shortest that breaks the same promise."""
    with players(database) as pool:
        text, failed = pool.apply(drawn_text, (seed,))
        say(text)
        if failed:
            say(f"\nThe same, shrunk:\n{pool.apply(shrunk_text, (seed,))}")
    return 1 if failed else 0


def order(database: str, switches: int | None) -> int:
    """Play all orders of all meetings."""
    played = failures = 0
    with players(database) as pool:
        names = [(name, switches) for name in pool.apply(meeting_names)]
        for name, number, failed in pool.imap_unordered(play_meeting, names):
            played += number
            failures += bool(failed)
            say(f"{number:6} orders: {name}")
            if failed:
                say(failed)
    say(f"{played} orders, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets is a part of a history
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.world", *sys.argv[1:]])  # noqa: S606
    sys.exit(main())
