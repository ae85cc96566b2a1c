"""python -m tests.on_postgres [options of pytest]: the applications' tests, on PostgreSQL.

Of tests/meats and tests/reports, or of what is named of them, those run whose own process uses the
database; all others choose theirs by themselves.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.postgres import running_postgres

APPLICATIONS = ["tests/meats", "tests/reports"]


def chosen(arguments: Sequence[str]) -> list[str]:
    """Return the applications' tests of those that the options of pytest name, or all of them."""
    named = [one for one in arguments if Path(one.partition("::")[0]).exists()]
    return [one for one in named if one.startswith(tuple(APPLICATIONS))] if named else APPLICATIONS


def main(arguments: Sequence[str]) -> int:
    """Return pytest's exit code; that options leave no test to run is fine here."""
    tests = chosen(arguments)
    options = [one for one in arguments if not Path(one.partition("::")[0]).exists()]
    if not tests:
        return 0
    with TemporaryDirectory() as logs, running_postgres(Path(logs)) as server:
        os.environ["TEST_DATABASE_URL"] = server.url
        # It goes with the server: threads of tests may have a connection to it until they end.
        code = pytest.main(["--reuse-db", *options, *tests])
    return 0 if code == pytest.ExitCode.NO_TESTS_COLLECTED else int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
