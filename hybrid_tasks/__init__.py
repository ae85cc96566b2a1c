"""Django tasks on the web server's event loop and on Celery, as one system."""
