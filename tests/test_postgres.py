"""The PostgreSQL server that other tests rely on."""

from pathlib import Path

import psutil
import psycopg
import pytest

from dev.postgres.programs import find_binaries
from dev.stack import StackError
from tests.postgres import Postgres, Stop, has_ended, running_postgres


def test_it_answers(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url) as connection:
        row = connection.execute("SELECT version()").fetchone()

    assert row is not None
    assert row[0].startswith("PostgreSQL ")


def test_it_runs_as_an_ordinary_user(postgres: Postgres) -> None:
    assert psutil.Process(postgres.process.pid).username() != "root"


def test_it_listens_on_loopback_only(postgres: Postgres) -> None:
    listening = [
        connection.laddr.ip
        for connection in psutil.Process(postgres.process.pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]

    assert listening == ["127.0.0.1"]


@pytest.mark.parametrize("how", ["fast", "immediate", "crash"])
def test_committed_rows_survive_a_restart(tmp_path: Path, how: Stop) -> None:
    with running_postgres(tmp_path) as postgres:
        with psycopg.connect(postgres.url) as connection:
            connection.execute("CREATE TABLE kept (number int)")
            connection.execute("INSERT INTO kept VALUES (7)")
        with psycopg.connect(postgres.url) as open_connection:
            open_connection.execute("INSERT INTO kept VALUES (8)")
            postgres.restart(how)
            with pytest.raises(psycopg.OperationalError):
                open_connection.execute("SELECT 1")

        with psycopg.connect(postgres.url) as connection:
            assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]
        recovered = postgres.process.lines("automatic recovery in progress")
        assert bool(recovered) == (how != "fast")


def test_nothing_is_left_of_it(tmp_path: Path) -> None:
    with running_postgres(tmp_path) as postgres:
        processes = [psutil.Process(postgres.process.pid)]
        processes += processes[0].children(recursive=True)
        data = Path(postgres.command[2])
        postgres.stop("immediate")

    assert all(has_ended(process) for process in processes)
    assert not data.parent.exists()


def test_a_machine_without_a_server_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dev.postgres.programs.candidates", lambda *_: iter([tmp_path / "nowhere"]))

    with pytest.raises(StackError, match="no PostgreSQL server runs here: `make install` brings"):
        find_binaries(tmp_path, None)
