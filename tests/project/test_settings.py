"""The settings as production sees them: in a process of their own, told by the environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from project.settings import next_redis_database
from tests.conftest import ROOT
from tests.processes import PATIENCE


def manage(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py with nothing of this process's settings but PATH."""
    return subprocess.run(
        [sys.executable, "-W", "error", "manage.py", *arguments],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "VAR_DIR": "/nowhere",  # not where a developer's own stack may run
            **env,
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_production_passes_djangos_deployment_check(tmp_path: Path) -> None:
    done = manage(
        "check",
        *("--deploy", "--fail-level", "WARNING"),
        SECRET_KEY="".join(map(chr, range(48, 122))),
        VAR_DIR=str(tmp_path),
        STATIC_ROOT=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr


def test_a_deployment_that_lets_clients_choose_their_address_is_told(tmp_path: Path) -> None:
    for addresses, is_told in {"*": True, "10.0.0.1, *": True, "10.0.0.0/8": False}.items():
        done = manage(
            *("check", "--deploy", "--tag=security"),
            SECRET_KEY="x",
            VAR_DIR=str(tmp_path),
            FORWARDED_ALLOW_IPS=addresses,
        )
        assert ("smokehouse.W001" in done.stderr) == is_told, done.stderr


def test_no_migration_is_missing(tmp_path: Path) -> None:
    done = manage(
        "makemigrations",
        *("--check", "--dry-run"),
        SECRET_KEY="x",
        DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3",
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_a_secret_key_it_says_what_to_set(tmp_path: Path) -> None:
    done = manage("check", VAR_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "No secret key: set SECRET_KEY, or SECRET_KEY_FILE" in done.stderr


def test_the_secret_key_may_be_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("from-a-file\n")
    done = manage(
        "shell",
        *(
            "--no-imports",
            "--command",
            "from django.conf import settings as s; print(s.SECRET_KEY)",
        ),
        SECRET_KEY_FILE=str(path),
    )
    assert done.stdout.strip() == "from-a-file", done.stderr


def sign_links(key: str, **env: str) -> list[str]:
    """Return the signed parts of the links in mails, as a process with this key makes them."""
    code = (
        "from meats.ordering import unsubscribe_signer as u;"
        "from reports.runs.mailer import link_signer as l; print(u.sign('7'), l.sign('7'))"
    )
    done = manage("shell", "--no-imports", "--command", code, SECRET_KEY=key, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def read_links(signed: list[str], **env: str) -> str:
    """Return what a process with the environment `env` makes of such links."""
    code = (
        "from meats.ordering import unsubscribe_signer as u;"
        "from reports.runs.mailer import link_signer as l;"
        f"print(u.unsign({signed[0]!r}), l.unsign({signed[1]!r}, max_age=600))"
    )
    done = manage("shell", "--no-imports", "--command", code, **env)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def test_links_signed_with_an_earlier_key_stay_valid(tmp_path: Path) -> None:
    signed = sign_links("the-first-key")
    assert "BadSignature" in read_links(signed, SECRET_KEY="the-third-key")
    fallbacks = "the-second-key, the-first-key"
    env = {"SECRET_KEY": "the-third-key", "SECRET_KEY_FALLBACKS": fallbacks}
    assert read_links(signed, **env) == "7 7"
    path = tmp_path / "keys"
    path.write_text("the-second-key\nthe-first-key\n")
    env = {"SECRET_KEY": "the-third-key", "SECRET_KEY_FALLBACKS_FILE": str(path)}
    assert read_links(signed, **env) == "7 7"


def test_new_links_are_signed_with_the_key_in_use() -> None:
    signed = sign_links("the-second-key", SECRET_KEY_FALLBACKS="the-first-key")
    assert read_links(signed, SECRET_KEY="the-second-key") == "7 7"


def show_hsts(**env: str) -> str:
    """Return the Strict-Transport-Security header that a process with `env` sends."""
    code = (
        "from django.test import Client;"
        "print(Client().get('/favicon.ico', secure=True, headers={'host': 'localhost'})"
        ".headers.get('Strict-Transport-Security'))"
    )
    env = {"SECRET_KEY": "x", "DEBUG": "true", "HTTPS_ONLY": "true"} | env
    done = manage("shell", "--no-imports", "--command", code, **env)
    return done.stdout.strip() or done.stderr


def test_browsers_are_told_to_insist_on_https_for_an_hour_at_first() -> None:
    assert show_hsts() == "max-age=3600"
    assert show_hsts(HTTPS_ONLY="false") == "None"


def test_subdomains_and_the_browsers_list_are_switches_of_their_own() -> None:
    year = {"HSTS_SECONDS": "31536000"}
    whole = year | {"HSTS_INCLUDE_SUBDOMAINS": "true"}
    assert show_hsts(**year) == "max-age=31536000"
    assert show_hsts(**whole) == "max-age=31536000; includeSubDomains"
    assert show_hsts(**whole, HSTS_PRELOAD="true") == "max-age=31536000; includeSubDomains; preload"


def test_the_browsers_list_is_refused_to_half_a_domain() -> None:
    done = manage("check", SECRET_KEY="x", HSTS_PRELOAD="true", HSTS_SECONDS="31536000")
    assert "HSTS_PRELOAD needs HSTS_INCLUDE_SUBDOMAINS=true and HSTS_SECONDS of" in done.stderr


def test_an_empty_variable_counts_as_not_set() -> None:
    done = manage("check", SECRET_KEY="x", DATABASE_URL="", STEP_SECONDS="", DEBUG="")
    assert done.returncode == 0, done.stderr


def test_production_is_closed_unless_told() -> None:
    show = "from django.conf import settings as s; print(s.DEBUG, s.SERVE_EXAMPLES, s.HTTPS_ONLY)"
    done = manage("shell", "--no-imports", "--command", show, SECRET_KEY="x")
    assert done.stdout.split() == ["False", "False", "True"], done.stderr


def test_a_bad_value_is_named_with_its_rule() -> None:
    done = manage("check", SECRET_KEY="x", STEP_SECONDS="-1")
    assert 'Environment variable "STEP_SECONDS" invalid' in done.stderr
    assert "greater than or equal to 0" in done.stderr


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/1"),
        ("redis://localhost:6379", "redis://localhost:6379/1"),
        (
            "rediss://:secret@host:1/7?ssl_cert_reqs=none",
            "rediss://:secret@host:1/8?ssl_cert_reqs=none",
        ),
    ],
)
def test_the_cache_has_the_database_after_the_queues(url: str, expected: str) -> None:
    assert next_redis_database(url) == expected


def test_a_redis_url_without_a_number_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="must end in a database number"):
        next_redis_database("redis://localhost:6379/queues")
