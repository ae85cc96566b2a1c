"""python -m bench: what a task costs on the event loop, against its alternatives, in one run."""

import asyncio
import gc
import os
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from dev.broker import broker_command
from tests.processes import Process, free_port, port_is_open, wait_until

ROUNDS = 7


def main() -> None:
    with TemporaryDirectory() as name:
        port = free_port()
        os.environ["REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
        os.environ["DJANGO_SETTINGS_MODULE"] = "bench.settings"
        with Process(broker_command(port, name), {}, Path(name) / "log"):
            wait_until(lambda: port_is_open(port), "the broker listens")
            import django

            django.setup()
            uvloop.run(measure())


async def measure() -> None:
    from bench.tasks import noop, wait_100_ms
    from hybrid_tasks.backends.eventloop import serve

    async with serve():
        await compare_enqueue()
        rate = statistics.median([await throughput(noop, 20_000) for _ in range(3)])
        print(f"no-op tasks, from aenqueue to the stored result: {rate:,.0f} a second")
        took = statistics.median([await elapsed(wait_100_ms, 5_000) for _ in range(3)])
        print(f"5,000 tasks of 100 ms, 500 at once: {took:.3f} s (ideal 1.000)")
        print(f"a waiting task holds {await memory(10_000):,.0f} bytes")


async def compare_enqueue() -> None:
    """Print the microseconds that a caller spends on one task, three ways, and the ratios."""
    from bench.tasks import celery_noop, noop

    held: set[asyncio.Task[None]] = set()

    async def bare() -> None:
        task = asyncio.get_running_loop().create_task(noop.func())
        held.add(task)
        task.add_done_callback(held.discard)

    async def delay() -> None:
        celery_noop.delay()

    ways: dict[str, tuple[Callable[[], Awaitable[Any]], int]] = {
        "create_task": (bare, 500),
        "aenqueue": (noop.aenqueue, 500),
        "delay": (delay, 100),
    }
    figures: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, (way, count) in ways.items():
            figures[name].append(await per_call(way, count))
    medians = {name: statistics.median(values) for name, values in figures.items()}
    for name, median in medians.items():
        print(f"{name:<12} {median:8.2f} us  x {median / medians['create_task']:.1f}")
    print(f"delay / aenqueue = {medians['delay'] / medians['aenqueue']:.0f}")


async def per_call(way: Callable[[], Awaitable[Any]], count: int) -> float:
    """Return microseconds for one call, without the time that its task then takes."""
    gc.collect()
    began = time.perf_counter()
    for _ in range(count):
        await way()
    took = time.perf_counter() - began
    await settle()
    return took / count * 1e6


async def settle() -> None:
    """Wait until all tasks have ended and their results are stored."""
    from hybrid_tasks.results.recorder import recorder

    await until_idle()
    while len(recorder()):
        await asyncio.sleep(0.001)


async def until_idle() -> None:
    from hybrid_tasks.backends.eventloop import workers

    await asyncio.sleep(0)
    while any(worker.runner.running for worker in workers().values()):
        await asyncio.sleep(0.001)


async def elapsed(task: Any, count: int) -> float:
    """Return the seconds from the first `aenqueue` to the last task's end."""
    began = time.perf_counter()
    for _ in range(count):
        await task.aenqueue()
    await until_idle()
    return time.perf_counter() - began


async def throughput(task: Any, count: int, producers: int = 20) -> float:
    """Return tasks a second: enqueued by some coroutines at once, run, signalled and stored."""

    async def produce() -> None:
        for _ in range(count // producers):
            await task.aenqueue()
            await asyncio.sleep(0)

    began = time.perf_counter()
    await asyncio.gather(*(produce() for _ in range(producers)))
    await settle()
    return count / (time.perf_counter() - began)


async def memory(count: int) -> float:
    """Return the bytes that one waiting task holds, its result included."""
    from bench.tasks import gate, wait_for_gate

    for _ in range(500):
        await wait_for_gate.aenqueue()
    await stored()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(count):
        await wait_for_gate.aenqueue()
    await stored()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    gate.set()
    await settle()
    return (after - before) / count


async def stored() -> None:
    from hybrid_tasks.results.recorder import recorder

    while len(recorder()):
        await asyncio.sleep(0.001)


main()
