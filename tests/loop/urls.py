"""The addresses of the views."""

from django.urls import path

from tests.loop import views

urlpatterns = [
    path("enqueue", views.enqueue),
    path("enqueue_sync", views.enqueue_sync),
    path("hang", views.hang),
    path("ping", views.ping),
    path("statuses", views.statuses),
    path("stream", views.stream),
]
