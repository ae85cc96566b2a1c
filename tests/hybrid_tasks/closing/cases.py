"""Test cases of a project that uses tasks. Their database is dropped as soon as they have ended."""

import asyncio
from functools import partial
from typing import Any

from django.db import connections
from django.test import TransactionTestCase

from hybrid_tasks.backends.eventloop import serve
from hybrid_tasks.outbox import table
from tests.hybrid_tasks.closing import tasks
from tests.processes import wait_until


class EachKindOfTask(TransactionTestCase):
    """Each runs all kinds of tasks, and looks them up."""

    def run_all(self) -> None:
        results: list[Any] = [task.enqueue() for task in tasks.ALL]
        for result in results:
            wait_until(partial(self.finished, result), f"{result}")
            assert result.return_value == 0
        wait_until(lambda: not table.rows().exists(), "the rows are removed")

    def finished(self, result: Any) -> bool:
        result.refresh()
        return bool(result.is_finished)

    def test_on_a_private_loop(self) -> None:
        self.run_all()

    def test_on_a_servers_loop(self) -> None:
        async def serve_all() -> None:
            async with serve():
                await asyncio.to_thread(self.run_all_apart)

        asyncio.run(serve_all())

    def run_all_apart(self) -> None:
        try:
            self.run_all()
        finally:
            connections.close_all()

    def test_with_one_that_never_ends(self) -> None:
        result: Any = tasks.wait_for_ever.enqueue()

        def begun() -> bool:
            result.refresh()
            return bool(result.attempts)

        wait_until(begun, "it has begun")

    async def test_looked_up_by_a_coroutine(self) -> None:
        result: Any = await tasks.count_users.aenqueue()
        async with asyncio.timeout(60):
            while not result.is_finished:
                await asyncio.sleep(0.01)
                await result.arefresh()
