"""Celery's side: what is sent to the broker, and what a worker does with what is delivered.

May import `results`, `outbox` and `execution`. Nothing but the Celery backend needs this room.
"""
