"""Addresses of the reports' pages."""

from django.urls import path

from reports import document_views, views

app_name = "reports"

urlpatterns = [
    path("", views.index, name="index"),
    path("start/", views.start, name="start"),
    path("runs/<str:period>/", views.show_run, name="run"),
    path("runs/<str:period>/progress/", views.run_progress, name="progress"),
    path("runs/<str:period>/retry/", views.retry, name="retry"),
    path("runs/<str:period>/summary.pdf", document_views.summary_file, name="summary"),
    path("customers/<int:pk>/", document_views.show_customer, name="customer"),
    path("reports/<int:pk>/settle/", views.settle, name="settle"),
    path("reports/<int:pk>/remake/", views.remake, name="remake"),
    path("reports/<int:pk>.pdf", document_views.report_file, name="file"),
    path("own/<str:signed>/", document_views.own_report, name="own"),
    path("cleanups/", views.cleanups, name="cleanups"),
    path("cleanups/start/", views.clean_up, name="clean_up"),
]
