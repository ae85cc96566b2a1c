"""Settings as the documentation tells to copy them, so that the tests try just those."""

from pathlib import Path
from typing import Any

BROKERS = Path(__file__).parent.parent / "docs" / "brokers.md"
TITLES = {
    "valkey": "Valkey and Redis",
    "sentinel": "Valkey or Redis behind Sentinel",
    "rabbitmq": "RabbitMQ, classic queues",
    "quorum": "RabbitMQ, quorum queues",
}


def broker_settings(title: str) -> dict[str, Any]:
    """Return Celery's settings from the block under that title of docs/brokers.md."""
    _, _, section = BROKERS.read_text().partition(f"\n## {title}\n")
    block = section.partition("```python\n")[2].partition("```")[0]
    assert block, f"{BROKERS.name} has no settings under {title!r}"
    settings: dict[str, Any] = {}
    exec(block, settings)  # noqa: S102 - it is our own
    return {name: value for name, value in settings.items() if name.startswith("CELERY_")}
