"""What has to exist before the parts of the stack start."""

import os
import secrets
from pathlib import Path

from dev.masking import masked
from dev.stack import HOST, Stack, StackError

ADMIN = "admin"
POSTGRES_PASSWORD = "postgres_password"  # noqa: S105 - the name of a file


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
    os.environ["FLOWER_BASIC_AUTH"] = os.environ.get("FLOWER_BASIC_AUTH") or flower_auth(stack)


def flower_auth(stack: Stack) -> str:
    """Return user:password of Flower, unless the environment has others."""
    return f"{ADMIN}:{kept_secret(stack.var_dir / 'flower_password', length=12)}"


def postgres_password(stack: Stack) -> str:
    """Return the password of the stack's own PostgreSQL server."""
    return kept_secret(stack.var_dir / POSTGRES_PASSWORD, length=24)


def postgres_url(stack: Stack) -> str:
    """Return the DATABASE_URL of the stack's own PostgreSQL server."""
    port = stack.ports["POSTGRES_PORT"]
    return f"postgres://postgres:{postgres_password(stack)}@{HOST}:{port}/postgres"


def prepare_database() -> str | None:
    """Migrate, create missing schedules and the first admin; return a new admin's password.

    Raises StackError when settings or database refuse.
    """
    from django.core.exceptions import ImproperlyConfigured
    from django.db import Error
    from environs import EnvError

    try:
        return migrate()
    except (EnvError, ImproperlyConfigured) as error:
        raise StackError(f"the settings refuse this environment: {error}") from error
    except Error as error:
        reason = str(error).partition("\n")[0]
        url = masked(os.environ.get("DATABASE_URL", ""))
        raise StackError(
            f"the database {url} cannot be used ({reason}): see that it runs and lets us in,"
            " or leave DATABASE_URL out for one of our own."
        ) from error


def migrate() -> str | None:
    """Do the work of `prepare_database`."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    import django  # not before: the settings read the environment that `up` has just made

    django.setup()
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.db import connections

    # A pool would say how long it waited, and not why in vain; and its threads cannot be forked.
    connections.settings["default"].get("OPTIONS", {}).pop("pool", None)
    call_command("migrate", verbosity=0, interactive=False)
    call_command("sync_schedules")
    users = get_user_model().objects
    password = None
    if not users.filter(is_superuser=True).exists():
        password = secrets.token_urlsafe(12)
        users.create_superuser(ADMIN, "admin@localhost", password)
    connections.close_all()  # the parts are forked from this process and must not share one
    return password
