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

TESTS = Path(__file__).resolve().parent
APPLICATIONS = [TESTS / "meats", TESTS / "reports"]


def chosen(tests: Sequence[str]) -> list[str]:
    """Return the applications' tests of those that are named; all of them where none is."""
    found = [] if tests else [str(one) for one in APPLICATIONS]
    for test in tests:
        path = Path(test.partition("::")[0]).resolve()
        if any(path.is_relative_to(one) for one in APPLICATIONS):
            found.append(test)
        found += [str(one) for one in APPLICATIONS if one != path and one.is_relative_to(path)]
    return found


def names_tests(argument: str) -> bool:
    """Return whether an argument is a test's path, and not the value of an option (`-k meats`)."""
    path = Path(argument.partition("::")[0])
    return path.exists() and (path.resolve() == TESTS or TESTS in path.resolve().parents)


def main(arguments: Sequence[str]) -> int:
    """Return pytest's exit code; that options leave no test to run is fine here."""
    tests = chosen([one for one in arguments if names_tests(one)])
    options = [one for one in arguments if not names_tests(one)]
    if not tests:
        sys.stdout.write("On PostgreSQL: no test of an application is named.\n")
        return 0
    with TemporaryDirectory() as logs, running_postgres(Path(logs)) as server:
        os.environ["TEST_DATABASE_URL"] = server.url
        # It goes with the server: threads of tests may have a connection to it until they end.
        code = pytest.main(["--reuse-db", *options, *tests])
    return 0 if code == pytest.ExitCode.NO_TESTS_COLLECTED else int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
