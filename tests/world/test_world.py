"""Some hundred histories, of which `make explore` plays as many as one likes."""

import subprocess
import sys

import pytest

FIXED = 250
BY_CHANCE = 50
# Threads are left for others only where they wait: with the switches of each meeting it is
# many times as much, and `make explore ARGS=--orders` does it.
ORDERS = ["--orders", "--switches", "0"]


@pytest.mark.parametrize(
    "given",
    [["--first", "1", "--histories", str(FIXED)], ["--histories", str(BY_CHANCE)], ORDERS],
    ids=["seeds from 1", "seeds by chance", "all orders of what meets"],
)
def test_no_history_breaks_a_promise(given: list[str]) -> None:
    command = [sys.executable, "-m", "tests.world", *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    sys.stdout.write(done.stdout)  # the seeds, and the steps of what failed
    assert done.returncode == 0, done.stdout + done.stderr
