"""What has to exist before the parts of the stack start."""

import os
import secrets
from pathlib import Path

from dev.stack import Stack

ADMIN = "admin"


def kept_secret(path: Path, length: int) -> str:
    """Return the secret that `path` holds; if it holds none, make one of `length` random bytes.

    Only the file's owner can read it.
    """
    if path.is_file() and (secret := path.read_text().strip()):
        return secret
    secret = secrets.token_urlsafe(length)
    path.touch(mode=0o600)
    path.write_text(secret + "\n")
    return secret


def prepare_files(stack: Stack) -> None:
    """Make VAR_DIR and the secrets in it."""
    stack.var_dir.mkdir(parents=True, exist_ok=True)
    kept_secret(stack.var_dir / "secret_key", length=48)
    flower_password = kept_secret(stack.var_dir / "flower_password", length=12)
    os.environ.setdefault("FLOWER_BASIC_AUTH", f"{ADMIN}:{flower_password}")


def prepare_database() -> str | None:
    """Migrate, create missing schedules and the first admin; return a new admin's password."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    import django  # not before: the settings read the environment that `up` has just made

    django.setup()
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.db import connections

    call_command("migrate", verbosity=0, interactive=False)
    call_command("sync_schedules")
    users = get_user_model().objects
    password = None
    if not users.filter(is_superuser=True).exists():
        password = secrets.token_urlsafe(12)
        users.create_superuser(ADMIN, "admin@localhost", password)
    connections.close_all()  # the parts are forked from this process and must not share one
    return password
