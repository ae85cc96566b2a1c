"""How the settings for PostgreSQL bound connections and times."""

from typing import Any

MAX_IDLE = 60  # seconds after which the pool closes a connection that nobody needed


def with_limits(
    options: dict[str, Any],
    *,
    pool_max: int,
    pool_timeout: float,
    connect_timeout: int,
    statement_timeout: float,
    lock_timeout: float,
) -> dict[str, Any]:
    """Return what DATABASES says besides address and name; what `options` have already, wins.

    Arguments:
        options: those of the database's address, such as sslmode.
        pool_max: connections that the pool of one process has at most; 0 for no pool.
        pool_timeout: seconds that a thread waits for one of them.
        connect_timeout: seconds in which the server must take a connection; 0 for no limit.
        statement_timeout: seconds that a statement may take; 0 for no limit.
        lock_timeout: seconds that a statement may wait for a lock; 0 for no limit.
    """
    milliseconds = {"statement_timeout": statement_timeout, "lock_timeout": lock_timeout}
    said = [f"-c {name}={round(time * 1000)}" for name, time in milliseconds.items() if time]
    said += [options["options"]] if "options" in options else []
    limited = {
        **({"connect_timeout": connect_timeout} if connect_timeout else {}),
        **options,
        # Not sent at all where there is nothing to say: poolers in between refuse it.
        **({"options": " ".join(said)} if said else {}),
    }
    if pool_max:
        limited["pool"] = {
            "min_size": 0,
            "max_size": pool_max,
            "timeout": pool_timeout,
            "max_idle": MAX_IDLE,
        }
    # One that was lost since it was last used, as when the server was restarted, is replaced.
    return {"CONN_HEALTH_CHECKS": True, "OPTIONS": limited}
