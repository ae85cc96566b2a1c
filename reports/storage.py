"""Where report files are kept: the storage `reports` of STORAGES, which nothing serves."""

from django.core.files.storage import Storage, storages


def report_storage() -> Storage:
    """Return the storage. A name that is saved again replaces the file."""
    return storages["reports"]
