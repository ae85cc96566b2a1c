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


# Order pages and the like are for those who have their addresses. They also carry noindex: one that
# is linked from elsewhere may be listed although no robot has read it.
ROBOTS = """\
User-agent: *
Disallow: /admin/
Disallow: /confirm/
Disallow: /orders/
Disallow: /reports/
Disallow: /tasks/
Disallow: /unsubscribe/
"""


@cache_control(max_age=86_400)
async def robots(_request: HttpRequest) -> HttpResponse:
    """Tell robots what not to read."""
    return HttpResponse(ROBOTS, content_type="text/plain; charset=utf-8")


handler400 = "meats.error_pages.bad_request"
handler403 = "meats.error_pages.permission_denied"
handler404 = "meats.error_pages.not_found"
handler500 = "meats.error_pages.server_error"

urlpatterns = [
    path("favicon.ico", favicon),
    path("robots.txt", robots),
    path("admin/login/", limit_logins(admin.site.login)),  # before the admin's own
    path("admin/", admin.site.urls),
    path("reports/", include("reports.urls")),
    path("", include("meats.urls")),
]
