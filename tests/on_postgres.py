"""python -m tests.on_postgres [options of pytest]: run tests with PostgreSQL as their database.

As in `python -m tests.on_postgres tests/meats tests/reports`.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.postgres import running_postgres


def main(arguments: list[str]) -> int:
    """Return pytest's exit code; that options leave no test to run is fine here."""
    with TemporaryDirectory() as logs, running_postgres(Path(logs)) as server:
        os.environ["TEST_DATABASE_URL"] = server.url
        code = pytest.main(arguments)
    return 0 if code == pytest.ExitCode.NO_TESTS_COLLECTED else int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
