"""What a visitor sees when something is wrong: a page, or one line for who is no browser."""

import re
from collections.abc import Iterator
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.core.cache.backends.locmem import LocMemCache
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.template import engines
from django.test import AsyncClient, Client, RequestFactory
from django.urls import reverse
from pytest_django import DjangoDbBlocker, Settings

from hybrid_tasks.backends.eventloop import EventLoopBackend
from hybrid_tasks.exceptions import TaskQueueFull
from meats.error_pages import not_found, server_error
from meats.models import Customer, Order, OrderItem
from meats.ordering import unsubscribe_signer
from meats.responses import unavailable, wait_in_words
from tests.browser.broken_urls import break_down
from tests.meats.smokehouse import VISITOR

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def production(settings: Settings) -> None:
    """Serve as in production, with an address that breaks down."""
    settings.DEBUG = False
    settings.ROOT_URLCONF = "tests.browser.broken_urls"


@pytest.fixture
def visitor(production: None) -> AsyncClient:
    return AsyncClient(raise_request_exception=False)


def body(response: HttpResponseBase) -> str:
    assert isinstance(response, HttpResponse)
    return response.content.decode()


def value(html: str, name: str) -> str:
    """Return what the field `name` of a page holds."""
    (tag,) = re.findall(rf'<input[^>]*name="{name}"[^>]*>', html)
    (held,) = re.findall(r'value="([^"]*)"', tag) or [""]
    return unescape(held)


def assert_page(response: HttpResponseBase, status: int) -> None:
    html = body(response)
    assert response.status_code == status
    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert "The smokehouse</a>" in html
    assert f'<p class="status">{status}</p>' in html
    assert "style=" not in html
    assert "<style" not in html
    assert "Accept" in response["Vary"]
    assert response["Cache-Control"] == "no-store"


async def test_an_unknown_address(visitor: AsyncClient) -> None:
    assert_page(await visitor.get("/nowhere/", headers=BROWSER), 404)
    for plain in ({}, {"accept": "application/json"}, {"accept": "text/event-stream"}):
        response = await visitor.get("/nowhere/", headers=plain)
        assert (response.status_code, body(response)) == (404, "There is no such page here.")
        assert response["Content-Type"] == "text/plain; charset=utf-8"


async def test_an_address_is_never_echoed(visitor: AsyncClient) -> None:
    response = await visitor.get("/<script>alert(1)</script>/", headers=BROWSER)
    assert "alert(1)" not in body(response)


def test_a_form_without_its_token(production: None) -> None:
    client = Client(enforce_csrf_checks=True)
    response = client.post("/orders/", VISITOR, headers=BROWSER)
    assert_page(response, 403)
    # A stranger's page could have filled it in.
    assert "ada@example.com" not in body(response)
    assert "token is missing or wrong" in body(client.post("/orders/", VISITOR))


@pytest.mark.django_db
def test_staff_who_may_not_see_the_reports(production: None, client: Client) -> None:
    client.force_login(User.objects.create_user("ada", is_staff=True))
    assert_page(client.get("/reports/", headers=BROWSER), 403)
    assert body(client.get("/reports/")) == "You may not see this page."


async def test_a_request_that_cannot_be_read(visitor: AsyncClient) -> None:
    assert_page(await visitor.get("/", headers=BROWSER | {"host": "evil.example"}), 400)


async def test_a_fault_of_ours_names_the_request(visitor: AsyncClient) -> None:
    response = await visitor.get("/broken/", headers=BROWSER | {"x-request-id": "order-4711"})
    assert_page(response, 500)
    assert "<code>order-4711</code>" in body(response)
    assert "grill is out" not in body(response)
    response = await visitor.get("/broken/")
    assert body(response) == "Something went wrong here, and it is in our log."


@pytest.fixture
def nothing_works(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """Neither database nor cache answers, and each context processor fails."""
    (templates,) = settings.TEMPLATES
    broken = {**templates["OPTIONS"], "context_processors": [f"{break_down.__module__}.break_down"]}
    settings.TEMPLATES = [{**templates, "OPTIONS": broken}]
    for name in ("get", "get_many", "set", "add"):
        monkeypatch.setattr(LocMemCache, name, break_down)
    with django_db_blocker.block():
        yield


def test_the_pages_for_bad_days_need_nothing(nothing_works: None) -> None:
    request = RequestFactory().get("/", headers=BROWSER)
    assert_page(server_error(request), 500)
    assert_page(unavailable(request, 20), 503)
    assert_page(not_found(request, Exception()), 404)


@pytest.fixture
def no_templates(settings: Settings) -> Iterator[None]:
    settings.TEMPLATES = [
        {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": False}
    ]
    engines.__dict__.pop("templates", None)
    yield
    engines.__dict__.pop("templates", None)


def test_without_templates_a_fault_is_still_told(no_templates: None) -> None:
    response = server_error(RequestFactory().get("/", headers=BROWSER))
    assert response.status_code == 500
    assert body(response) == "Something went wrong here, and it is in our log."


FILLED = {**VISITOR, "more": "tofu, <b>halloumi</b>", "flavor": "Gold Bond"}
TOKEN = "0b52ab52-9f2b-4d0e-a54e-0f6f4f3f7b11"


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise TaskQueueFull

    monkeypatch.setattr(EventLoopBackend, "enqueue", refuse)
    monkeypatch.setattr(EventLoopBackend, "aenqueue", refuse)


def assert_order_is_kept(response: HttpResponseBase) -> None:
    html = body(response)
    for name, typed in FILLED.items():
        if name != "meats":
            assert value(html, name) == typed
    assert value(html, "token") == TOKEN
    assert len(value(html, "csrfmiddlewaretoken")) == 64
    assert re.findall(r'value="(\w+)"[^>]*checked', html) == ["ribs"]


@pytest.mark.django_db(transaction=True)
async def test_an_order_survives_that_there_is_no_room(visitor: AsyncClient, full: None) -> None:
    response = await visitor.post("/orders/", {**FILLED, "token": TOKEN}, headers=BROWSER)
    assert_page(response, 503)
    assert_order_is_kept(response)
    assert "try again in 5 s" in body(response)
    assert response["Retry-After"] == "5"
    plain = await visitor.post("/orders/", {**FILLED, "token": TOKEN})
    assert plain["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.django_db
async def test_a_form_survives_the_limit(visitor: AsyncClient, settings: Settings) -> None:
    settings.POST_RATE = "1/hour"
    subscription = {"subscribe-name": "Ben", "subscribe-email": "ben@example"}
    for form in ({**FILLED, "token": TOKEN}, subscription):
        path = "/subscribe/" if form is subscription else "/orders/"
        await visitor.post(path, {}, headers=BROWSER)
        response = await visitor.post(path, form, headers=BROWSER)
        assert_page(response, 429)
        wait = wait_in_words(int(response["Retry-After"]))
        assert f"try again in {wait}" in body(response)
        if form is subscription:
            assert value(body(response), "subscribe-email") == "ben@example"
        else:
            assert_order_is_kept(response)


async def test_robots_are_told_what_is_not_for_them(async_client: AsyncClient) -> None:
    response = await async_client.get("/robots.txt")
    assert response["Content-Type"].startswith("text/plain")
    for part in ("admin", "orders", "reports", "tasks", "unsubscribe"):
        assert f"\nDisallow: /{part}/\n" in body(response)


@pytest.mark.django_db(transaction=True)
async def test_pages_for_who_has_their_address_are_not_listed(async_client: AsyncClient) -> None:
    customer = await Customer.objects.acreate(name="Ada", email="ada@example.com")
    order = await Order.objects.acreate(customer=customer, flavor="salt", price=1)
    await OrderItem.objects.acreate(order=order, meat="ribs", price=1)
    signed = unsubscribe_signer.sign(str(customer.pk))
    for address in (order.get_absolute_url(), reverse("meats:unsubscribe", args=[signed])):
        response = await async_client.get(address)
        assert (response.status_code, response["X-Robots-Tag"]) == (200, "noindex, nofollow")
    assert "X-Robots-Tag" not in (await async_client.get("/", headers=BROWSER)).headers


@pytest.mark.parametrize(
    ("seconds", "words"), [(1, "1 s"), (120, "120 s"), (121, "3 min"), (3599, "60 min")]
)
def test_a_long_wait_is_told_in_minutes(seconds: int, words: str) -> None:
    assert wait_in_words(seconds) == words
