"""python -m tests.dev.managed NAME=COMMAND …: the manager, with parts of a test's own.

The variable SERVERS may hold a JSON of names and ports, as `Stack.servers` gives them.
"""

import json
import os
import sys

from dev.manager import OrderlyManager


def main() -> int:
    manager = OrderlyManager(json.loads(os.environ.get("SERVERS", "{}")))
    for argument in sys.argv[1:]:
        name, _, command = argument.partition("=")
        manager.add_process(name, command, env=dict(os.environ))
    manager.loop()
    for last_words in manager.given_up:
        print(last_words)  # noqa: T201
    return manager.exit_code()


if __name__ == "__main__":
    sys.exit(main())
