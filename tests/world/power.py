"""Shows what the world finds: plants one bug after the other and explores until it is found.

python -m tests.world.power [--minutes 10] [NAME ...]
"""

import argparse
import os
import sys
import time

from tests.world.exploring import explore, players, say, seeds, shrunk_text

FIRST = 1
MINUTES = 10.0


def main() -> int:
    from tests.world.mutants import MUTANTS

    parser = argparse.ArgumentParser(prog="python -m tests.world.power", description=__doc__)
    parser.add_argument("names", nargs="*", help="which bugs; all unless given")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for each")
    parser.add_argument("--tell", action="store_true", help="print the shortest history, too")
    given = parser.parse_args()
    missed = 0
    say("| bug | what is wrong | histories until it was found | s | how it was seen |")
    say("|---|---|---|---|---|")
    for name in given.names or MUTANTS:
        began = time.monotonic()
        with players("sqlite", name) as pool:
            found = explore(pool, seeds(FIRST, 0, given.minutes), stop_at_first=True)
            seconds = time.monotonic() - began
            seen = found.failures[0].problems[0] if found.failures else "not found"
            missed += not found.failures
            about = MUTANTS[name].about
            say(f"| {name} | {about} | {found.histories} | {seconds:.0f} | {seen} |")
            if given.tell and found.failures:
                say(pool.apply(shrunk_text, (found.failures[0].seed,)))
    return 1 if missed else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.world.power", *sys.argv[1:]])  # noqa: S606
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.world.settings"
    import django

    django.setup()
    sys.exit(main())
