"""The smokehouse's heavy side: scheduled work on Celery."""
