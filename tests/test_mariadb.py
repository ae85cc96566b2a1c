"""The MariaDB server that other tests rely on."""

from pathlib import Path

import psutil
import pytest

from tests import mariadb as room
from tests.mariadb import MariaDB, Stop, required_server, running_mariadb


def test_it_answers_nobody_but_this_machine_as_an_ordinary_user(mariadb: MariaDB) -> None:
    process = psutil.Process(mariadb.process.pid)
    listening = [one.laddr.ip for one in process.net_connections() if one.status == "LISTEN"]
    ((version,),) = mariadb.execute("SELECT VERSION()")
    assert "MariaDB" in str(version)
    assert listening == ["127.0.0.1"]
    assert process.username() != "root"


def test_committed_rows_survive_a_restart_and_nothing_is_left_of_it(tmp_path: Path) -> None:
    with running_mariadb(tmp_path) as mariadb:
        process = psutil.Process(mariadb.process.pid)
        mariadb.execute("CREATE TABLE tests.kept (number int)")
        ways: list[Stop] = ["fast", "crash"]
        for number, how in enumerate(ways):
            mariadb.execute("INSERT INTO tests.kept SELECT COUNT(*) FROM tests.kept")
            mariadb.restart(how)
            rows = mariadb.execute("SELECT number FROM tests.kept ORDER BY number")
            assert rows == [(one,) for one in range(number + 1)]
        assert mariadb.process.lines("Starting crash recovery")
        home = next(Path(one.split("=")[1]) for one in mariadb.command if "--tmpdir" in one)
    assert not process.is_running()
    assert not home.exists()


@pytest.mark.parametrize("missing", ["mariadbd", "mysqlclient"])
def test_a_machine_without_it_says_what_is_missing(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = None if missing == "mariadbd" else "/usr/sbin/mariadbd"
    monkeypatch.setattr(room.shutil, "which", lambda *_, **__: where)
    monkeypatch.setattr(room, "find_spec", lambda _name: None)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=f"{missing} is not installed: apt-get install"):
        required_server()
