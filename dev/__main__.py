"""python -m dev: the commands behind `make run`."""

import argparse
import sys

from dev.banner import show_banner
from dev.broker import become_broker
from dev.postgres.server import become_postgres
from dev.stack import Stack, StackError
from dev.up import up

COMMANDS = {
    "up": (up, "start every part, show the addresses, stop all on Ctrl-C"),
    "broker": (become_broker, "become the broker (Valkey); the Procfile uses it"),
    "postgres": (become_postgres, "become the PostgreSQL server of DATABASE=postgres"),
    "banner": (show_banner, "wait until every part answers, then show the addresses"),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dev", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, summary) in COMMANDS.items():
        commands.add_parser(name, help=summary)
    run, _ = COMMANDS[parser.parse_args().command]
    try:
        return run(Stack.from_environment())
    except StackError as error:
        print(f"make run: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
