"""`make matrix`: the package's tests on each Python and Django that it says it runs on.

The tests' settings are the smokehouse's, whose django-celery-beat does not allow Django 6.1 yet.
Here, and nowhere else, that cap is overridden; all other versions are those of uv.lock.
"""
