"""docker-compose.yml: valid, ordered by health, closed to the outside."""

import re
import subprocess
import sys
from typing import Any

import pytest
from ruamel.yaml import YAML

from project import settings
from tests.conftest import ROOT

COMPOSE = ROOT / "docker-compose.yml"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    services: dict[str, Any] = YAML(typ="safe").load(COMPOSE)["services"]
    return services


def test_follows_the_compose_specification() -> None:
    command = ["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_lasting_service_has_a_health_check(services: dict[str, Any]) -> None:
    assert set(services) == {"db", "redis", "migrate", "web", "worker", "beat", "flower"}
    assert {name for name, service in services.items() if "healthcheck" not in service} == {
        "migrate"
    }


def test_nothing_starts_before_what_it_needs_is_healthy(services: dict[str, Any]) -> None:
    for name in ("web", "worker", "beat", "flower"):
        needs = services[name]["depends_on"]
        assert needs["db"]["condition"] == "service_healthy"
        assert needs["redis"]["condition"] == "service_healthy"
        assert needs["migrate"]["condition"] == "service_completed_successfully"


def test_only_web_is_published_beyond_loopback(services: dict[str, Any]) -> None:
    open_to_all = {
        name
        for name, service in services.items()
        for port in service.get("ports", [])
        if not port.startswith("127.0.0.1:")
    }
    assert open_to_all == {"web"}


def test_web_is_given_longer_to_stop_than_it_needs(services: dict[str, Any]) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    graceful = int(dockerfile.split('"--timeout-graceful-shutdown", "')[1].split('"')[0])
    grace = int(services["web"]["stop_grace_period"].removesuffix("s"))
    default_drain = 20
    assert f'env.float("DRAIN_TIMEOUT", {default_drain}.0' in open_text(settings.__file__)
    to_hand_over_and_store = 15
    assert grace > graceful + default_drain + to_hand_over_and_store


def open_text(path: str) -> str:
    return (ROOT / path).read_text()


def test_secrets_come_from_the_environment(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            if any(word in variable for word in ("SECRET", "PASSWORD", "AUTH", "_URL")):
                assert "${" in value, f"{name}: {variable}"


def test_the_example_environment_names_every_variable_that_is_read() -> None:
    example = (ROOT / ".env.example").read_text()
    source = (ROOT / "project" / "settings.py").read_text()
    names = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', source))
    assert len(names) > 15
    assert {name for name in names if f"# {name}=" not in example} == set()
