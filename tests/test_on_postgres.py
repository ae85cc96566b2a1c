"""Which tests run on PostgreSQL, too."""

from pathlib import Path

import pytest

from tests import on_postgres
from tests.on_postgres import chosen, names_tests

BOTH = [str(one) for one in on_postgres.APPLICATIONS]
MEATS = str(Path(__file__).parent / "meats" / "test_admin.py")


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ([], BOTH),
        (["tests"], BOTH),
        (["tests/meats/test_admin.py::test_x"], ["tests/meats/test_admin.py::test_x"]),
        (["./tests/meats"], ["./tests/meats"]),
        ([MEATS, "tests/loop"], [MEATS]),
        (["tests/hybrid_tasks"], []),
    ],
)
def test_of_what_is_named_those_of_the_applications(named: list[str], expected: list[str]) -> None:
    assert all(map(names_tests, named))
    assert chosen(named) == expected


@pytest.mark.parametrize("argument", ["-k", "meats", "reports", "-x", "tests/none", "not slow"])
def test_values_of_options_name_no_tests(argument: str) -> None:
    assert not names_tests(argument)
