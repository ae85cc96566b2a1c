"""Says that the system is up, once every part of it has answered."""

import os
import smtplib
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from dev.masking import masked
from dev.prepare import ADMIN, POSTGRES_PASSWORD, flower_auth, postgres_url
from dev.stack import HOST, Stack

PATIENCE = 120.0  # seconds until a part that does not answer is given up
REMINDER = 10.0  # seconds between two lines that say what is missing

type Probe = Callable[[], bool]


def show_banner(stack: Stack) -> int:
    """Print the addresses when all parts answer; return 1 if some never do."""
    missing = wait_for(probes(stack))
    if missing:
        say(f"No answer from {', '.join(missing)} within {PATIENCE:g} s; the log lines say why.")
        return 1
    say(banner_text(stack))
    return 0


def probes(stack: Stack) -> dict[str, Probe]:
    """Return for each part a function that tells whether it answers."""
    began = time.time()
    heartbeat = stack.var_dir / "beat.heartbeat"
    return {
        "web": lambda: answers(stack.url("WEB_PORT") + "/readyz/"),
        "partner": lambda: answers(stack.url("PARTNER_PORT") + "/status/200"),
        "mail": lambda: smtp_answers(stack.ports["SMTP_PORT"]),
        "beat": lambda: touched_since(heartbeat, began),
        "worker-default": lambda: worker_answers("default"),
        "worker-heavy": lambda: worker_answers("heavy"),
        "flower": lambda: answers(stack.url("FLOWER_PORT") + "/healthcheck"),
    }


def wait_for(waiting: dict[str, Probe]) -> list[str]:
    """Ask each probe until it says yes; return the names of those that never did."""
    began = reminded = time.monotonic()
    while waiting := {name: probe for name, probe in waiting.items() if not probe()}:
        now = time.monotonic()
        if now - began > PATIENCE:
            break
        if now - reminded > REMINDER:
            reminded = now
            say(f"Still waiting for {', '.join(waiting)} ...")
        time.sleep(0.2)
    return list(waiting)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False


def smtp_answers(port: int) -> bool:
    try:
        with smtplib.SMTP(HOST, port, timeout=2) as connection:
            return connection.noop()[0] == 250
    except OSError:
        return False


def touched_since(path: Path, moment: float) -> bool:
    return path.exists() and path.stat().st_mtime >= moment


def worker_answers(name: str) -> bool:
    from celery.utils.nodenames import host_format

    from project.celery import app

    try:
        return bool(app.control.ping([host_format(f"{name}@%h")], timeout=1))
    except app.connection_for_write().connection_errors:
        return False


def banner_text(stack: Stack) -> str:
    var_dir = os.path.relpath(stack.var_dir)
    password = os.environ.get("ADMIN_PASSWORD")
    admin_hint = (
        f"user {ADMIN}, password {password} (shown only this once)"
        if password
        else f"user {ADMIN}; forgotten? manage.py changepassword {ADMIN}"
    )
    debug = os.environ.get("DEBUG", "")
    rows = [
        ("Home page", stack.url("WEB_PORT") + "/", ""),
        ("Admin", stack.url("WEB_PORT") + "/admin/", admin_hint),
        ("Flower", stack.url("FLOWER_PORT") + "/", flower_hint(stack)),
        ("Mail", f"{var_dir}/mail/new/", f"received by SMTP on port {stack.ports['SMTP_PORT']}"),
        ("Partner", stack.url("PARTNER_PORT") + "/", "stands in for httpbin.org"),
        ("Broker", masked(stack.redis_url), "queues of the workers"),
        ("Database", *database_row(stack)),
    ]
    width = max(len(address) for _, address, _ in rows)
    lines = [f"  {name:<10} {address:<{width}}  {hint}".rstrip() for name, address, hint in rows]
    rule = "=" * max(map(len, lines))
    return "\n".join(
        [
            "",
            rule,
            "  The smokehouse is open.",
            "",
            *lines,
            "",
            f"  DEBUG={debug}: this is for development. Data is in {var_dir}/. Ctrl-C stops all.",
            rule,
            "",
        ]
    )


def flower_hint(stack: Stack) -> str:
    auth = os.environ.get("FLOWER_BASIC_AUTH", "")
    if auth != flower_auth(stack):  # whoever gave it knows it
        return "user and password as in FLOWER_BASIC_AUTH"
    user, _, password = auth.partition(":")
    return f"user {user}, password {password}"


def database_row(stack: Stack) -> tuple[str, str]:
    """Return where the database is, and where its password is kept if the server is our own."""
    url = os.environ.get("DATABASE_URL") or f"sqlite:///{stack.var_dir}/db.sqlite3"
    password_file = stack.var_dir / POSTGRES_PASSWORD
    is_own = password_file.is_file() and url == postgres_url(stack)
    return masked(url), f"password in {os.path.relpath(password_file)}" if is_own else ""


def say(text: str) -> None:
    print(text, flush=True)
