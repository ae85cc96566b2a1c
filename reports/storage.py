"""Where report files are kept: the storage `reports` of STORAGES, which nothing serves.

Each file has a name that tells whose it is, so that cleaning up can ask the database. A marker
tells that the storage is the one that files were put into, and not the empty place of its mount.
"""

import re
from collections.abc import Iterable

from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages

MARKER = "reports-are-kept-here"
SAYS = b"Reports are kept here. Without this file nothing is removed, and no report is made.\n"
THOUSAND = re.compile(r"[0-9]{4,16}")
REPORT = re.compile(r"(0|[1-9][0-9]{0,17})\.pdf")  # every such number fits a key's column
SUMMARY = "summary.pdf"


class StorageAway(OSError):
    """The storage of the reports is not the one that they were put into, or it is not there."""


def report_storage() -> Storage:
    """Return the storage. A name that is saved again replaces the file."""
    return storages["reports"]


def report_name(period: str, key: int) -> str:
    """Return the name of a report's file; a thousand share a folder."""
    return f"{period}/{key // 1000:04}/{key}.pdf"


def summary_name(period: str) -> str:
    return f"{period}/{SUMMARY}"


def require_storage(known: Iterable[str]) -> None:
    """Mark the storage as ours, unless it is marked.

    One that has any of the `known` names is ours, and so is any while there is none of them. Raises
    StorageAway for another one: a volume that is not mounted looks like an empty one.
    """
    storage = report_storage()
    if storage.exists(MARKER):
        return
    names = list(known)
    if names and not any(storage.exists(name) for name in names):
        raise StorageAway(
            f"The storage of the reports ({where(storage)}) has neither its marker {MARKER!r} nor"
            f" any of the last {len(names)} files: is its volume mounted? If the files are lost"
            " for good, put an empty file of the marker's name there."
        )
    storage.save(MARKER, ContentFile(SAYS))


def where(storage: Storage) -> str:
    return str(getattr(storage, "location", None) or storage)
