"""The stack's own PostgreSQL server."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from dev.postgres import server
from dev.postgres.server import make_cluster, refuse_closed, running_postgres
from dev.prepare import postgres_url
from dev.stack import Stack, StackError
from dev.users import ordinary_user
from tests.processes import free_port, port_is_open


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    with TemporaryDirectory(prefix="stack-", dir="/tmp") as name:
        Path(name).chmod(0o755)  # for the server's user, who is not root
        monkeypatch.setenv("VAR_DIR", name)
        monkeypatch.setenv("DATABASE", "postgres")
        monkeypatch.setenv("DATABASE_URL", "")
        monkeypatch.setenv("POSTGRES_PORT", str(free_port()))
        yield Stack.from_environment()


def test_it_keeps_its_data_and_asks_for_its_password(stack: Stack) -> None:
    unfinished = stack.var_dir / "postgres" / "data.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "half").touch()  # of a start that was interrupted
    make_cluster(stack)
    url = postgres_url(stack)
    with running_postgres(stack), psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (number int)")
    assert not port_is_open(stack.ports["POSTGRES_PORT"])
    make_cluster(stack)
    with running_postgres(stack):
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
        password = (stack.var_dir / "postgres_password").read_text().strip()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(url.replace(password, "another"))


def test_data_of_another_version_is_left_alone(stack: Stack) -> None:
    data = stack.var_dir / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9\n")
    with pytest.raises(StackError, match="was made by PostgreSQL 9, and 18 is installed: dump it"):
        make_cluster(stack)


def test_a_server_that_does_not_start_says_why(stack: Stack) -> None:
    make_cluster(stack)
    (stack.var_dir / "postgres" / "data" / "postgresql.conf").write_text("nonsense = 1\n")
    with (
        pytest.raises(StackError, match=r'does not start; .*log says why: .*"nonsense"'),
        running_postgres(stack),
    ):
        pass


def test_root_without_anybody_else_is_told_what_to_do(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def alone() -> None:
        raise LookupError("we are root, and there is no other user here")

    monkeypatch.setattr(server, "ordinary_user", alone)
    with pytest.raises(StackError, match=r"PostgreSQL refuses to run as root .*set DATABASE_URL"):
        make_cluster(stack)


def test_a_directory_that_its_user_cannot_use_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StackError, match=f"cannot get into {tmp_path}: start as another user"):
        refuse_closed(tmp_path, ordinary_user())
    tmp_path.chmod(0o700)
