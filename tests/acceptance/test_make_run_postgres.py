"""`make run` on PostgreSQL: on a server of its own, and on one that is given."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from dev.broker import broker_command
from tests.acceptance.patient import get
from tests.acceptance.test_make_run import BANNER, START_WITHIN, RunningStack
from tests.postgres import Postgres
from tests.processes import Process, free_port, port_is_open, wait_until
from tests.project.test_settings import manage

SECRET = "s3cret-of-the-database"
BROKER_SECRET = "s3cret-of-the-broker"


@contextmanager
def open_directory() -> Iterator[Path]:
    """Make a directory that other users can get into, as a server must that refuses to be root."""
    with TemporaryDirectory(prefix="stack-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_server_of_its_own_keeps_its_data() -> None:
    with open_directory() as directory:
        stack = RunningStack(directory, DATABASE="postgres")
        try:
            stack.make.wait_for(BANNER, seconds=START_WITHIN)
            assert get(f"{stack.web}/readyz/").text == "ok"
            password = stack.password("Admin")
            secret = (stack.var_dir / "postgres_password").read_text().strip()
            url = f"postgres://postgres:***@127.0.0.1:{stack.ports['POSTGRES_PORT']}/postgres"
            assert f"Preparing the database ({url})" in stack.make.output()
            assert stack.make.lines(f"Database   {url}")
            # Somebody's open connection does not hold up the stop.
            with psycopg.connect(url.replace("***", secret)):
                stack.stop()
            output = stack.make.output()
            assert output.index("worker-default stopped") < output.index("postgres stopped (rc=0)")
            assert "stopped (rc=-9)" not in output
            assert not (stack.var_dir / "stack.json").exists()

            stack.start()
            stack.make.wait_for(BANNER, seconds=START_WITHIN)
            output += stack.make.output()
            assert "shown only this once" not in stack.make.output()
            code = "from django.contrib.auth import authenticate as a;"
            code += f" print(a(username='admin', password={password!r}))"
            done = manage("shell", "--no-imports", "--command", code, VAR_DIR=str(stack.var_dir))
            assert done.stdout.strip() == "admin", done.stderr
            stack.stop()
            assert secret not in output + stack.make.output()
        finally:
            stack.kill()


@pytest.fixture
def database_url(postgres: Postgres) -> str:
    """The address of a database whose owner has a password."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE shop LOGIN PASSWORD '{SECRET}'")
        connection.execute("CREATE DATABASE shop OWNER shop")
    return postgres.url.replace("postgres@", f"shop:{SECRET}@").removesuffix("postgres") + "shop"


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """The address of a broker that asks for a password."""
    port = free_port()
    (tmp_path / "broker").mkdir()
    command = [*broker_command(port, str(tmp_path / "broker")), "--requirepass", BROKER_SECRET]
    with Process(command, {}, tmp_path / "broker.log"):
        wait_until(lambda: port_is_open(port), "the broker listens")
        yield f"redis://:{BROKER_SECRET}@127.0.0.1:{port}/0"


def test_servers_that_are_given_are_used_and_named_without_their_passwords(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    stack = RunningStack(tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_url)
    try:
        stack.make.wait_for(BANNER, seconds=START_WITHIN)
        get(f"{stack.web}/smoke_some_meats/?to_smoke=tofu")
        stack.make.wait_for("Who doesn't love smoked tofu?")
        stack.stop()
    finally:
        stack.kill()
    output = stack.make.output()
    shown = database_url.replace(SECRET, "***")
    assert f"Preparing the database ({shown})" in output
    assert stack.make.lines(f"Database   {shown}")
    assert stack.make.lines("Broker     redis://:***@127.0.0.1:")
    assert SECRET not in output
    assert BROKER_SECRET not in output
    assert "broker started" not in output
    assert "postgres started" not in output
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM auth_user").fetchone() == (1,)
