"""The project's addresses, and one that breaks down."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from project import urls

handler400, handler403 = urls.handler400, urls.handler403
handler404, handler500 = urls.handler404, urls.handler500


async def break_down(_request: HttpRequest) -> HttpResponse:
    raise RuntimeError("the grill is out")


urlpatterns = [path("broken/", break_down), path("", include("project.urls"))]
