"""Whom a program runs as that refuses to be root."""

import os
import pwd
from pathlib import Path
from typing import Any


def ordinary_user() -> str | None:
    """Return whom such a program runs as: None for our own user, another one if that is root.

    Raises LookupError if there is nobody but root.
    """
    if os.geteuid() != 0:
        return None
    names = [entry.pw_name for entry in pwd.getpwall() if entry.pw_uid != 0]
    if not names:
        raise LookupError("we are root, and there is no other user here")
    return "nobody" if "nobody" in names else names[0]


def identity(user: str | None) -> dict[str, Any]:
    """Return the arguments of `subprocess` that start a program as `user`; None is our own user."""
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def become(user: str | None) -> None:
    """Make this process one of `user`; None leaves it as it is."""
    if user is None:
        return
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def give(path: Path, user: str | None) -> None:
    """Make `user` the owner of `path` and of all in it; None leaves it ours."""
    if user is None:
        return
    entry = pwd.getpwnam(user)
    for each in [path, *path.rglob("*")]:
        os.chown(each, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
