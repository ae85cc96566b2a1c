"""The outbox: a row for each task that must not be lost, and who owns it when.

May import `results` and `models`; knows no backend, no loop and no Celery.
"""
