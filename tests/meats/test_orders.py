"""Ordering: what is stored, what is started, what is refused, and what others get to see."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from hybrid_tasks.testing import CapturedTasks, CapturingBackend, capture_tasks
from meats.models import Customer, Order, OrderItem
from meats.ordering import SIDE_EFFECTS
from meats.rates import address_of, seconds_to_wait
from tests.meats.test_forms import XSS

pytestmark = pytest.mark.django_db

BROWSER = {"accept": "text/html"}


def fields(**changed: Any) -> dict[str, Any]:
    return {
        "token": str(uuid4()),
        "meats": ["ribs", "salmon"],
        "more": "Tofu, ribs",
        "flavor": "",
        "name": "Ada Ash",
        "email": "ada@example.com",
        **changed,
    }


class Orderer:
    """Sends order forms; `tasks` has what they started."""

    def __init__(self, capture: DjangoCaptureOnCommitCallbacks, tasks: CapturedTasks) -> None:
        self.client = Client()
        self.tasks = tasks
        self._capture = capture

    def send(self, **changed: Any) -> HttpResponse:
        with self._capture(execute=True):
            response = self.client.post("/orders/", fields(**changed))
        assert isinstance(response, HttpResponse)
        return response

    def order(self, **changed: Any) -> Order:
        response = self.send(**changed)
        assert response.status_code == 302, response.content
        return Order.objects.get(uuid=UUID(response["Location"].split("/")[2]))


@pytest.fixture
def orderer(django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks) -> Any:
    with capture_tasks() as tasks:
        yield Orderer(django_capture_on_commit_callbacks, tasks)


def test_an_order_is_stored_with_its_items_and_prices(orderer: Orderer) -> None:
    order = orderer.order()
    assert [(item.meat, item.price) for item in order.items.all()] == [
        ("ribs", Decimal("14.50")),
        ("salmon", Decimal("16.00")),
        ("tofu", Decimal("12.00")),
    ]
    assert (order.price, order.flavor, order.state) == (
        Decimal("42.50"),
        "Sweet Baby Ray's",
        Order.State.RECEIVED,
    )
    assert str(order.customer) == "Ada Ash <ada@example.com>"


def test_an_order_starts_its_four_side_effects(orderer: Orderer) -> None:
    order = orderer.order()
    assert order.task_ids == {
        effect: orderer.tasks.assert_enqueued(task, str(order.uuid)).id
        for effect, task in SIDE_EFFECTS.items()
    }
    assert len(orderer.tasks.enqueued) == 4


def test_a_form_that_is_sent_twice_makes_one_order(orderer: Orderer) -> None:
    token = str(uuid4())
    first = orderer.order(token=token)
    assert orderer.order(token=token, email="ADA@example.com ") == first
    assert Order.objects.count() == 1
    assert len(orderer.tasks.enqueued) == 4


@pytest.mark.parametrize(
    "changed",
    [
        {"meats": ["brisket"]},
        {"more": "tofu, halloumi"},
        {"flavor": "Hickory"},
        {"name": "Ada Elm"},
        {"email": "ada@example.org"},
    ],
)
def test_a_form_that_is_changed_and_sent_again_makes_a_second_order(
    changed: dict[str, Any], orderer: Orderer
) -> None:
    token = str(uuid4())
    first = orderer.order(token=token)
    second = orderer.order(token=token, **changed)
    assert second != first
    assert len(orderer.tasks.enqueued) == 8
    assert orderer.order(token=token) == first


def test_an_order_that_fails_half_way_leaves_and_starts_nothing(
    orderer: Orderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_items: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(OrderItem.objects, "bulk_create", fail)
    with pytest.raises(RuntimeError, match="the disk is full"):
        orderer.send()
    assert not Order.objects.exists()
    assert not orderer.tasks.enqueued


def test_a_customer_is_known_by_the_address_in_whatever_case(orderer: Orderer) -> None:
    first = orderer.order()
    again = orderer.order(email="ADA@Example.com", name="Somebody Else")
    assert first.customer == again.customer
    assert again.customer.name == "Ada Ash"
    with pytest.raises(ValidationError, match="There is a customer with this email address"):
        Customer(name="X", email="Ada@example.COM").full_clean()


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"meats": [], "more": " , "}, "Choose at least one meat."),
        ({"meats": ["unicorn"]}, "unicorn is not one of the available choices"),
        ({"more": ",".join(map(str, range(19)))}, "21 meats were asked for: at most 20 fit"),
        ({"more": "x" * 51}, "a meat&#x27;s name has at most 50"),
        ({"flavor": "x" * 101}, "a flavor has at most 100"),
        ({"name": ""}, "This field is required."),
        ({"name": "x" * 101}, "at most 100 characters (it has 101)"),
        ({"name": "Ada\u2028Bcc: x@example.com"}, "control character"),
        ({"email": "ada"}, "Enter a valid email address."),
        ({"email": "ada@example.com\nBcc: x@example.com"}, "Enter a valid email address."),
        ({"token": "1234"}, "Enter a valid UUID."),
    ],
)
def test_wrong_input_is_refused_beside_its_field(
    changed: dict[str, Any], complaint: str, orderer: Orderer
) -> None:
    response = orderer.send(**changed)
    assert response.status_code == 400
    assert complaint in response.content.decode()
    assert not Order.objects.exists()
    assert not orderer.tasks.enqueued


def test_a_form_without_a_csrf_token_is_refused() -> None:
    response = Client(enforce_csrf_checks=True).post("/orders/", fields())
    assert response.status_code == 403


def test_a_form_that_is_too_long_is_refused(orderer: Orderer) -> None:
    assert orderer.send(name="x" * 300_000).status_code == 400


@pytest.mark.parametrize("attack", XSS)
def test_whatever_is_typed_stays_text(attack: str, orderer: Orderer) -> None:
    order = orderer.order(meats=[], more=attack, flavor=attack, name=attack)
    for path in (order.get_absolute_url(), "/"):
        page = orderer.client.get(path, headers=BROWSER).content.decode()
        assert "<script>alert" not in page
        assert "<img src=x" not in page
    refused = orderer.send(more=attack, flavor=attack, name=attack, email=attack)
    page = refused.content.decode()
    assert refused.status_code == 400
    assert "<script>alert" not in page
    assert "<img src=x" not in page


def test_pages_show_nobodys_name_or_address(orderer: Orderer) -> None:
    order = orderer.order()
    for path in ("/", order.get_absolute_url()):
        page = orderer.client.get(path, headers=BROWSER).content.decode()
        assert "salmon" in page.lower()
        assert "Ada" not in page
        assert "example.com" not in page


def test_the_home_page_gives_no_keys_to_others_orders(orderer: Orderer) -> None:
    order = orderer.order()
    assert str(order.uuid) not in orderer.client.get("/", headers=BROWSER).content.decode()


def test_an_order_is_shown_while_the_store_of_results_is_away(
    orderer: Orderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ConnectionError("Redis is away")

    order = orderer.order()
    monkeypatch.setattr(CapturingBackend, "local_result", fail)
    page = orderer.client.get(order.get_absolute_url())
    assert page.status_code == 200
    assert "Waiting for the smoker" in page.content.decode()


def test_only_a_smoked_order_is_collected_and_only_once(orderer: Orderer) -> None:
    order = orderer.order()
    collect = f"{order.get_absolute_url()}collect/"
    assert orderer.client.post(collect).status_code == 302
    order.refresh_from_db()
    assert (order.state, order.collected_at) == (Order.State.RECEIVED, None)

    Order.objects.update(state=Order.State.SMOKED, smoked_at=timezone.now())
    orderer.client.post(collect)
    order.refresh_from_db()
    first = order.collected_at
    assert (order.state, first is not None) == (Order.State.COLLECTED, True)
    orderer.client.post(collect)
    order.refresh_from_db()
    assert order.collected_at == first


async def test_the_pages_of_an_unknown_order_are_not_found(async_client: AsyncClient) -> None:
    path = f"/orders/{uuid4()}/"
    assert (await async_client.get(path)).status_code == 404
    assert (await async_client.get(f"{path}events/")).status_code == 404
    assert (await async_client.post(f"{path}collect/")).status_code == 404


async def test_who_posts_too_often_is_asked_to_wait(
    async_client: AsyncClient, settings: Settings
) -> None:
    settings.POST_RATE = "2/hour"
    wrong = fields(email="nope")
    answers = [await async_client.post("/orders/", wrong) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [400, 400, 429]
    assert 0 < int(answers[2]["Retry-After"]) <= 3600
    # Another address, another form: counted by themselves.
    assert await seconds_to_wait("create_order", "192.0.2.7") == 0
    assert (await async_client.post("/subscribe/", {})).status_code == 400


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::ffff:c000:207", "192.0.2.7"),
        ("fe80::1%eth0", "fe80:0000:0000:0000"),
        ("", ""),
    ],
)
def test_an_address_of_ipv6_is_counted_with_its_network(address: str, counted: str) -> None:
    assert address_of(RequestFactory().post("/orders/", REMOTE_ADDR=address)) == counted


async def test_the_limit_lets_all_in_while_redis_is_away(
    async_client: AsyncClient, settings: Settings
) -> None:
    settings.RATE_LIMIT_URL = "async+redis://127.0.0.1:1/0"
    settings.RATE_LIMIT_OPTIONS = {"implementation": "redispy"}
    answer = await async_client.post("/orders/", fields(email="nope"))
    assert answer.status_code == 400
