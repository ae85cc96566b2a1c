"""The relay for projects that run no beat."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from tests.hybrid_tasks.outbox.command import relay_outbox
from tests.hybrid_tasks.outbox.rows import State, add_many, row_states
from tests.processes import PATIENCE, wait_until


@pytest.fixture
def database_url(sqlite_alias: str) -> str:
    return f"sqlite:///{connections[sqlite_alias].settings_dict['NAME']}"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestOnSQLite:
    """The command itself knows no database; the relay's own tests run on both."""

    @pytest.fixture(autouse=True)
    def _outbox(self, database: str) -> None:
        """Everything here needs the table."""

    def sent(self, ids: list[str]) -> bool:
        return row_states() == dict.fromkeys(ids, State.SENT)

    def test_once_sends_what_is_due_and_ends(
        self, tmp_path: Path, database_url: str, broker_url: str
    ) -> None:
        ids = add_many(3, alias="celery")
        with relay_outbox(tmp_path / "log", database_url, broker_url, "--once") as command:
            assert command.popen.wait(PATIENCE) == 0, command.output()
            assert "3 sent, 0 dead letters, 0 wait for the broker" in command.output()
        assert self.sent(ids)

    def test_it_goes_on_until_it_is_told_to_stop(
        self, tmp_path: Path, database_url: str, broker_url: str
    ) -> None:
        options = ["--interval", "0.1"]
        with relay_outbox(tmp_path / "log", database_url, broker_url, *options) as command:
            command.wait_for("Relaying every 0.1 s until stopped")
            first = add_many(2, alias="celery")
            wait_until(lambda: self.sent(first), "they are sent")
            second = add_many(2, alias="celery")
            wait_until(lambda: self.sent(first + second), "so are these")
            assert command.stop() == 0, command.output()
        assert "Traceback" not in command.output()

    def test_a_long_pause_does_not_delay_the_stop(
        self, tmp_path: Path, database_url: str, broker_url: str
    ) -> None:
        options = ["--interval", "3600"]
        with relay_outbox(tmp_path / "log", database_url, broker_url, *options) as command:
            command.wait_for("Relaying every 3600 s until stopped")
            assert command.stop() == 0, command.output()


@pytest.mark.parametrize("interval", ["0", "-1"])
def test_a_pause_must_be_one(interval: str) -> None:
    with pytest.raises(CommandError, match="it must be more than 0 seconds"):
        call_command("relay_outbox", f"--interval={interval}")


@pytest.mark.django_db
def test_the_migrations_are_those_of_the_models() -> None:
    call_command("makemigrations", "hybrid_tasks", check=True, dry_run=True, verbosity=0)
