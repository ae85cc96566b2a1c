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
WORKERS = ("worker-default", "worker-heavy")
APPLICATION = ("web", *WORKERS, "beat", "flower")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    services: dict[str, Any] = YAML(typ="safe").load(COMPOSE)["services"]
    return services


def test_follows_the_compose_specification() -> None:
    command = ["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_lasting_service_has_a_health_check(services: dict[str, Any]) -> None:
    assert set(services) == {"db", "redis", "migrate", *APPLICATION}
    assert {name for name, service in services.items() if "healthcheck" not in service} == {
        "migrate"
    }


def test_nothing_starts_before_what_it_needs_is_healthy(services: dict[str, Any]) -> None:
    for name in APPLICATION:
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
                # No value at all: Compose takes the environment's.
                assert value is None or "${" in value, f"{name}: {variable}"


@pytest.fixture(scope="module")
def names() -> set[str]:
    """Return the variables that the settings read."""
    source = open_text("project/settings.py")
    names = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', source))
    assert len(names) > 15
    return names


def test_containers_are_given_every_variable_that_is_read(
    services: dict[str, Any], names: set[str]
) -> None:
    decided_by_the_file = {
        *("VAR_DIR", "RECEIPTS_DIR", "REPORTS_DIR", "MAIL_ARCHIVE"),  # the volumes
        *("CACHE_URL", "RATE_LIMIT_URL"),  # the one Redis
        "DRAIN_TIMEOUT",  # the grace period
    }
    for name in ("migrate", *APPLICATION):
        assert names - set(services[name]["environment"]) == decided_by_the_file, name


def test_what_several_containers_use_is_on_a_volume(services: dict[str, Any]) -> None:
    shared = {"/app/var/receipts", "/app/var/reports"}
    for name in ("web", *WORKERS):
        assert {volume.split(":")[1] for volume in services[name]["volumes"]} == shared
    # A new volume belongs to the owner of the image's folder: the user that writes into it.
    (made,) = re.findall(r"mkdir -p (.*?) \\", open_text("Dockerfile"))
    assert set(made.split()) == shared


def test_the_example_environment_names_every_variable_that_is_read(names: set[str]) -> None:
    example = open_text(".env.example")
    assert {name for name in names if f"# {name}=" not in example} == set()
