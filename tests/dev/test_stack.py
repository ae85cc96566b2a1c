"""Where the development stack listens, and what it says when it cannot."""

import socket
import sys
from pathlib import Path

import pytest

from dev.announcement import only_stack_in
from dev.prepare import kept_secret
from dev.stack import DEFAULT_PORTS, Stack, StackError
from tests.processes import PATIENCE, Process, free_port


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*DEFAULT_PORTS, "VAR_DIR", "REDIS_URL", "DATABASE_URL", "DATABASE", "DEBUG"):
        monkeypatch.delenv(name, raising=False)


def test_defaults() -> None:
    stack = Stack.from_environment()
    assert stack.ports == DEFAULT_PORTS
    assert stack.var_dir.name == "var"
    assert stack.redis_url == "redis://127.0.0.1:6390/0"
    assert stack.own_broker


def test_a_given_broker_is_used_and_none_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:6379/3")
    stack = Stack.from_environment()
    assert not stack.own_broker
    assert stack.environment()["REDIS_URL"] == "redis://elsewhere:6379/3"


def test_parts_are_told_where_the_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PORT", "2525")
    monkeypatch.setenv("OUTGOING_URL", "http://example.test/")
    environment = Stack.from_environment().environment()
    assert environment["EMAIL_PORT"] == "2525"
    assert environment["DEBUG"] == "true"
    assert environment["OUTGOING_URL"] == "http://example.test/"


@pytest.mark.parametrize("value", ["abc", "0", "65536", "-1", "80 ", "8.0"])
def test_a_port_that_is_none_is_named(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_PORT", value)
    with pytest.raises(StackError, match=f"WEB_PORT is '{value}': it must be a whole number"):
        Stack.from_environment()


def test_two_parts_on_one_port_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWER_PORT", "8000")
    with pytest.raises(StackError, match="WEB_PORT and FLOWER_PORT are both 8000"):
        Stack.from_environment()


def test_a_taken_port_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in DEFAULT_PORTS:
        monkeypatch.setenv(name, str(free_port()))
    Stack.from_environment().refuse_taken_ports()
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        monkeypatch.setenv("SMTP_PORT", str(port))
        with pytest.raises(StackError, match=f"port {port} .* 'make run SMTP_PORT={port + 1}'"):
            Stack.from_environment().refuse_taken_ports()


@pytest.mark.parametrize("value", ["mysql", "Postgres", "postgresql", "postgres "])
def test_a_database_that_it_cannot_start_is_named(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE", value)
    with pytest.raises(StackError, match=f"DATABASE is '{value}': it must be 'sqlite' or"):
        Stack.from_environment()


def test_two_databases_are_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE", "postgres")
    monkeypatch.setenv("DATABASE_URL", "postgres://shop:s3cret@db/shop")
    with pytest.raises(StackError, match="set one of the two") as caught:
        Stack.from_environment()
    assert "(postgres://shop:***@db/shop)" in str(caught.value)


def test_only_what_is_started_needs_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in DEFAULT_PORTS:
        monkeypatch.setenv(name, str(free_port()))
    stack = Stack.from_environment()
    assert stack.servers() == {"broker": stack.ports["BROKER_PORT"]}
    with socket.create_server(("127.0.0.1", stack.ports["POSTGRES_PORT"])):
        stack.refuse_taken_ports()
        monkeypatch.setenv("DATABASE", "postgres")
        with pytest.raises(StackError, match="make run POSTGRES_PORT="):
            Stack.from_environment().refuse_taken_ports()


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("DATABASE_URL", "postgres://shop:s3cret@127.0.0.1:1/shop", "Connection refused"),
        ("DATABASE_URL", "postgre://shop:s3cret@db/shop", "Not a valid database URL"),
        ("REDIS_URL", "redis://:1/s3cret@cache/0", "must end in a database number"),
    ],
)
def test_an_address_that_is_of_no_use_is_one_sentence_without_its_password(
    variable: str, value: str, sentence: str, tmp_path: Path
) -> None:
    env = {name: str(free_port()) for name in DEFAULT_PORTS} | {"VAR_DIR": str(tmp_path)}
    env |= dict.fromkeys(("DATABASE_URL", "REDIS_URL", "SECRET_KEY"), "") | {variable: value}
    env |= {"DJANGO_SETTINGS_MODULE": "project.settings"}
    with Process([sys.executable, "-m", "dev", "up"], env, tmp_path / "log") as process:
        assert process.popen.wait(PATIENCE) == 2
    last = process.output().splitlines()[-1]
    assert last.startswith("make run: ")
    assert sentence in last
    assert "s3cret" not in process.output()
    assert "Traceback" not in process.output()


def test_a_second_stack_on_the_same_data_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAR_DIR", str(tmp_path))
    stack = Stack.from_environment()
    with only_stack_in(stack), pytest.raises(StackError, match="in use by another 'make run'"):
        only_stack_in(stack).__enter__()
    with only_stack_in(stack):
        pass


def test_secrets_are_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    secret = kept_secret(path, length=48)
    assert len(secret) >= 48
    assert kept_secret(path, length=48) == secret
    assert path.stat().st_mode & 0o777 == 0o600
