"""What every request passes through."""

from inspect import iscoroutinefunction

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.utils.module_loading import import_string


async def async_view(_request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@pytest.mark.parametrize("path", settings.MIDDLEWARE)
def test_no_middleware_needs_a_thread_on_the_event_loop(path: str) -> None:
    middleware = import_string(path)
    assert middleware.async_capable
    assert iscoroutinefunction(middleware(async_view))


@pytest.mark.parametrize(
    "given", ["", "short", "x" * 65, "a b c d e f", "forged\nline", "<script>"]
)
async def test_a_harmful_request_id_is_replaced(given: str, async_client: AsyncClient) -> None:
    response = await async_client.get("/", headers={"x-request-id": given})
    assert response["X-Request-ID"] != given
    assert len(response["X-Request-ID"]) == 12


def test_sync_requests_have_an_id_too(client: Client) -> None:
    assert client.get("/", headers={"x-request-id": "from-proxy"})["X-Request-ID"] == "from-proxy"


async def test_the_old_icon_address_leads_to_the_icon(async_client: AsyncClient) -> None:
    response = await async_client.get("/favicon.ico")
    assert (response.status_code, response["Location"]) == (302, "/static/meats/flame.svg")
