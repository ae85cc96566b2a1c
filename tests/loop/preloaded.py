"""The application, in a process that has used tasks before it forks its workers."""

from tests.loop.asgi import application
from tests.loop.tasks import wait

__all__ = ["application"]

for _ in range(3):
    wait.enqueue(0)
