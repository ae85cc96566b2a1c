"""What concerns databases as such: connections, clocks, and which errors say that one is away.

Imports nothing of ours.
"""

from hybrid_tasks.databases.connections import arelease_connections, release_connections

__all__ = ["arelease_connections", "release_connections"]
