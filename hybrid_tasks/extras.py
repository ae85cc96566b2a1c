"""What is said where something is used whose package is not installed."""


def not_installed(what: str, extra: str, error: ImportError) -> ImportError:
    """Return the error that tells which extra of this package `what` needs.

    Django shows it after "Could not find backend '...': ".
    """
    return ImportError(
        f"{what} needs a package that cannot be imported ({error});"
        f" install it: pip install 'hybrid-tasks[{extra}]'",
        name=error.name,
    )
