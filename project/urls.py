"""All addresses of the project."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.templatetags.static import static
from django.urls import include, path
from django.views.decorators.cache import cache_control

from meats.logins import limit_logins


@cache_control(max_age=86_400)
async def favicon(_request: HttpRequest) -> HttpResponse:
    """Send those who ask for the old address, such as the admin's pages, to the icon."""
    return HttpResponseRedirect(static("meats/flame.svg"))


urlpatterns = [
    path("favicon.ico", favicon),
    path("admin/login/", limit_logins(admin.site.login)),  # before the admin's own
    path("admin/", admin.site.urls),
    path("reports/", include("reports.urls")),
    path("", include("meats.urls")),
]
