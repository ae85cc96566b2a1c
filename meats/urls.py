"""Addresses of the smokehouse's pages."""

from django.urls import path

from meats import order_views, subscription_views, task_views, views

app_name = "meats"

urlpatterns = [
    path("", views.index, name="index"),
    path("async/", views.async_view, name="async"),
    path("sync/", views.sync_view, name="sync"),
    path("sync_to_async/", views.async_with_sync_view, name="sync_to_async"),
    path("smoke_some_meats/", views.smoke_some_meats, name="smoke_some_meats"),
    path("burn_some_meats/", views.burn_some_meats, name="burn_some_meats"),
    path("orders/", order_views.create_order, name="create_order"),
    path("orders/<uuid:uuid>/", order_views.show_order, name="order"),
    path("orders/<uuid:uuid>/events/", order_views.order_events, name="order_events"),
    path("orders/<uuid:uuid>/collect/", order_views.collect_order, name="collect_order"),
    path("tasks/<slug:task_id>/", task_views.show_task, name="task"),
    path("tasks/<slug:task_id>/events/", task_views.task_events, name="task_events"),
    path("subscribe/", subscription_views.subscribe, name="subscribe"),
    path("confirm/<str:signed>/", subscription_views.confirm, name="confirm"),
    path("unsubscribe/<str:signed>/", subscription_views.unsubscribe, name="unsubscribe"),
]
