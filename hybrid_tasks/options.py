"""The OPTIONS of the backends: their names, defaults and rules."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Self

from django.core import checks
from django.core.cache import InvalidCacheBackendError, caches

from hybrid_tasks.results.values import LIMIT


def at_least(least: float, *, whole: bool = True) -> dict[str, Any]:
    kind = "a whole number" if whole else "a number"
    return {"kinds": int if whole else (int, float), "least": least, "rule": f"{kind} from {least}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What both backends take.

    Attributes:
        result_cache: alias of the cache that keeps results.
        result_ttl: seconds that a result is kept after its last change.
        lease: seconds that a durable task belongs to the process that took it, or to the broker,
            until it is renewed; when that ends the relay sends it again.
        outbox_timeout: seconds that a caller waits for the database to take a durable task.
        max_bytes: bytes that the arguments of a task, its return value or its metadata may take
            as JSON.
    """

    result_cache: str = "default"
    result_ttl: int = field(default=86_400, metadata=at_least(1))
    lease: float = field(default=30.0, metadata=at_least(1, whole=False))
    outbox_timeout: float = field(default=5.0, metadata=at_least(0, whole=False))
    max_bytes: int = field(default=LIMIT, metadata=at_least(1024))

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """Return the options with defaults; unknown names are left to `check`."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in given.items() if name in known})

    @classmethod
    def check(cls, alias: str, given: Mapping[str, Any]) -> Iterable[checks.CheckMessage]:
        """Yield an error for each option that is unknown or breaks its rule."""
        known = {one.name: one for one in fields(cls)}
        for name, value in given.items():
            if name not in known:
                yield checks.Error(
                    f"TASKS[{alias!r}]: unknown option {name!r}.",
                    hint=f"Known are {', '.join(sorted(known))}.",
                    id="hybrid_tasks.E001",
                )
                continue
            rule = known[name].metadata
            if "least" in rule and not is_number(value, rule):
                default = known[name].default
                yield checks.Error(
                    f"TASKS[{alias!r}]: option {name!r} is {value!r}.",
                    hint=f"It must be {rule['rule']}; the default is {default}."
                    if default is not MISSING
                    else f"It must be {rule['rule']}.",
                    id="hybrid_tasks.E002",
                )
        yield from cls.check_cache(alias, given.get("result_cache", "default"))

    @classmethod
    def check_cache(cls, alias: str, cache_alias: Any) -> Iterable[checks.CheckMessage]:
        try:
            backend = type(caches[cache_alias])
        except InvalidCacheBackendError:
            yield checks.Error(
                f"TASKS[{alias!r}]: option 'result_cache' is {cache_alias!r}, which CACHES lacks.",
                hint="Name an alias of CACHES.",
                id="hybrid_tasks.E003",
            )
            return
        alone = {".locmem": "processes", ".dummy": "processes", ".filebased": "machines"}
        for module, others in alone.items():
            if not backend.__module__.endswith(module):
                continue
            yield checks.Warning(
                f"TASKS[{alias!r}]: results are kept in {backend.__name__}, which other {others}"
                " cannot read.",
                hint="Give 'result_cache' a cache that all processes share, such as"
                " hybrid_tasks.caches.RedisCache or Django's DatabaseCache.",
                id="hybrid_tasks.W001",
            )


def is_number(value: Any, rule: Mapping[str, Any]) -> bool:
    return (
        isinstance(value, rule["kinds"]) and not isinstance(value, bool) and value >= rule["least"]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLoopOptions(Options):
    """What the event-loop backend takes besides.

    Attributes:
        max_running: tasks that run at once in one process.
        max_waiting: tasks that may wait besides, in one process.
        drain_timeout: seconds that tasks have to finish when the server stops.
        overflow: alias of the backend that takes what this one cannot; None for none.
    """

    max_running: int = field(default=100, metadata=at_least(1))
    max_waiting: int = field(default=10_000, metadata=at_least(0))
    drain_timeout: float = field(default=20.0, metadata=at_least(0, whole=False))
    overflow: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CeleryOptions(Options):
    """What the Celery backend takes besides.

    Attributes:
        app: path of the Celery application; "" for Celery's current one.
    """

    app: str = ""
