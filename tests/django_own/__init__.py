"""Django's own tests of its tasks framework, run as they are against the backends of this package.

`python -m tests.django_own` fetches the source distributions of Django 6.0 and 6.1 and runs their
`tests/tasks` with each backend in the place of the dummy and of the immediate one.
"""
