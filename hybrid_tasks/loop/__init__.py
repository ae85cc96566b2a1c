"""The event loop's side: a runner that knows asyncio only, and the worker that a loop is.

May import `results`, `outbox` and `execution`; knows no backend and no Celery.
"""
