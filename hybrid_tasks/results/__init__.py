"""What is known of a task: its states, how they are encoded, and where they are kept.

May import `tasks` and what lies below it; knows no backend, no outbox and no Celery.
"""
