"""What looks after rows that nobody holds: the relay, and what a person does with rows.

May import `outbox` and `results`, and finds backends by their aliases.
"""

from hybrid_tasks.relay.relaying import Relayed, relay

__all__ = ["Relayed", "relay"]
