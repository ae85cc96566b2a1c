"""The addresses of the views."""

from django.urls import include, path

from tests.faults import views

urlpatterns = [
    path("accept", views.accept),
    path("look_up", views.look_up),
    path("", include("tests.loop.urls")),
]
