"""Names of what tests are given."""


def plain(value: object) -> str | None:
    """Return a text's name for a test's id, or None to leave that to pytest.

    Without a backslash: pytest does not find again on its command line what it has named with one,
    and mutmut would take a mutant for noticed whose tests it could not even start.
    """
    return ascii(value).replace("\\", "/")[:30] if isinstance(value, str) else None
