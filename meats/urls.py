"""Addresses of the smokehouse's pages."""

from django.urls import path

from meats import views

app_name = "meats"

urlpatterns = [
    path("", views.index, name="index"),
    path("async/", views.async_view, name="async"),
    path("sync/", views.sync_view, name="sync"),
    path("sync_to_async/", views.async_with_sync_view, name="sync_to_async"),
    path("smoke_some_meats/", views.smoke_some_meats, name="smoke_some_meats"),
    path("burn_some_meats/", views.burn_some_meats, name="burn_some_meats"),
]
