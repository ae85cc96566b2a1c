"""Double opt-in: what a stranger can have mailed, and what an address's owner has to say first."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core import mail
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from hybrid_tasks.testing import run_tasks
from meats.confirming import MAX_DETAILS
from meats.models import Customer, Order

pytestmark = pytest.mark.django_db

SPAM = "win at casino.example"

type Post = Callable[..., Any]


@pytest.fixture
def post(
    client: Client, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> Post:
    """A function that posts a form and runs all that it starts."""

    def send(path: str, **form: Any) -> Any:
        with run_tasks(), django_capture_on_commit_callbacks(execute=True):
            response = client.post(path, form)
        assert response.status_code in (200, 302), response.content
        return response

    return send


@pytest.fixture(autouse=True)
def receipts_elsewhere(settings: Settings, tmp_path: Any) -> None:
    settings.RECEIPTS_DIR = tmp_path
    settings.PARTNER_URL = "http://127.0.0.1:1/"


def order(post: Post, **changed: Any) -> None:
    form = {"meats": ["ribs"], "name": SPAM, "more": SPAM, "flavor": SPAM}
    post("/orders/", token=str(uuid4()), email="ada@example.com", **form | changed)


def subscribe(post: Post) -> None:
    post("/subscribe/", **{"subscribe-name": SPAM, "subscribe-email": "ada@example.com"})


def link() -> str:
    """Return the path in the latest question."""
    text = next(sent.body for sent in reversed(mail.outbox) if "Is this your" in sent.subject)
    path: str = text.split("http://127.0.0.1:8000")[1].split()[0]
    assert path.startswith("/confirm/")
    return path


def subjects() -> list[str]:
    return [sent.subject.split()[0] for sent in mail.outbox]


def test_a_stranger_cannot_have_a_text_mailed(post: Post) -> None:
    order(post)
    subscribe(post)
    (question,) = mail.outbox
    assert question.to == ["ada@example.com"]
    assert "casino" not in question.message().as_string()
    html, _ = question.alternatives[0]  # type: ignore[union-attr]
    assert "casino" not in str(html)


def test_the_details_follow_when_the_owner_has_confirmed(post: Post) -> None:
    order(post)
    assert subjects() == ["Is"]
    post(link())
    assert subjects() == ["Is", "Your"]
    assert SPAM in mail.outbox[-1].body
    order(post)
    assert subjects() == ["Is", "Your", "Your"]


def test_to_look_confirms_nothing(post: Post, client: Client) -> None:
    order(post)
    page = client.get(link())
    assert b"Only its owner should confirm it" in page.content
    assert "no-store" in page["Cache-Control"]
    assert Customer.objects.get().confirmed_at is None
    assert subjects() == ["Is"]


def test_to_confirm_twice_mails_once(post: Post) -> None:
    order(post)
    post(link())
    first = Customer.objects.get().confirmed_at
    post(link())
    assert Customer.objects.get().confirmed_at == first
    assert subjects() == ["Is", "Your"]


def test_one_question_an_hour(post: Post) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(5):
            order(post)
            subscribe(post)
        assert subjects() == ["Is"]
        clock.shift(timedelta(minutes=59))
        order(post)
        assert subjects() == ["Is"]
        clock.shift(timedelta(minutes=2))
        subscribe(post)
        assert subjects() == ["Is", "Is"]


def test_a_confirmed_address_gets_so_many_details_an_hour(post: Post) -> None:
    order(post)
    post(link())
    mail.outbox.clear()
    with time_machine.travel(timezone.now() + timedelta(hours=2), tick=False) as clock:
        for _ in range(MAX_DETAILS + 2):
            order(post)
            clock.shift(timedelta(seconds=1))
        assert len(mail.outbox) == MAX_DETAILS
        clock.shift(timedelta(hours=1))
        order(post)
        assert len(mail.outbox) == MAX_DETAILS + 1


def test_orders_that_strangers_piled_up_are_not_all_mailed(post: Post) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(MAX_DETAILS + 5):
            order(post)
            clock.shift(timedelta(hours=2))
        path = link()
        mail.outbox.clear()
        post(path)
        assert len(mail.outbox) == MAX_DETAILS


def test_who_subscribes_is_subscribed_by_a_click_only(post: Post) -> None:
    subscribe(post)
    assert not Customer.objects.get().is_subscribed
    post(link(), subscribe="yes")
    assert Customer.objects.get().is_subscribed
    assert subjects() == ["Is", "Welcome"]


def test_who_only_confirms_is_not_subscribed(post: Post, client: Client) -> None:
    subscribe(post)
    post(link(), subscribe="no")
    customer = Customer.objects.get()
    assert (customer.confirmed_at is not None, customer.is_subscribed) == (True, False)
    post(link(), subscribe="yes")  # nobody asks for that any more
    assert not Customer.objects.get().is_subscribed


def test_a_stranger_cannot_subscribe_again_who_unsubscribed(post: Post, client: Client) -> None:
    subscribe(post)
    post(link(), subscribe="yes")
    unsubscribe = mail.outbox[-1].message()["List-Unsubscribe"].strip("<>")
    client.post(unsubscribe.removeprefix("http://127.0.0.1:8000"))
    mail.outbox.clear()
    subscribe(post)
    assert not Customer.objects.get().is_subscribed
    assert subjects() == ["Is"]
    page = client.get(link()).content.decode()
    assert "to hear from the smoker" in page
    post(link(), subscribe="yes")
    assert Customer.objects.get().is_subscribed


def test_a_link_ends(post: Post, client: Client) -> None:
    order(post)
    with time_machine.travel(timezone.now() + timedelta(days=8)):
        page = client.post(link())
    assert page.status_code == 410
    assert b"This link does not work any more" in page.content
    assert Customer.objects.get().confirmed_at is None


def test_a_link_is_for_one_address(post: Post, client: Client) -> None:
    order(post)
    assert client.post(link()[:-3] + "xx/").status_code == 404
    Customer.objects.update(email="eve@example.com")
    assert client.post(link()).status_code == 410
    assert Customer.objects.get().confirmed_at is None


def test_the_order_page_does_not_tell_who_is_known(post: Post, client: Client) -> None:
    """Who types others' addresses must not learn from the page whose are confirmed."""

    def words() -> list[str]:
        page = client.get(Order.objects.latest("pk").get_absolute_url()).content.decode()
        (part,) = [line for line in page.splitlines() if 'data-task="confirmation"' in line]
        return [part, page[page.index("Each is a task") :]]

    order(post)
    unknown = words()
    post(link())
    order(post)
    assert words() == unknown


def test_the_home_page_shows_no_text_of_strangers(post: Post, client: Client) -> None:
    order(post)
    page = client.get("/", headers={"accept": "text/html"}).content.decode()
    assert "casino" not in page
    assert "ribs, something of their own" in page
    assert "a flavor of their own" in page


def test_another_address_is_asked_anew(post: Post, admin_client: Client) -> None:
    order(post)
    post(link())
    customer = Customer.objects.get()
    moment = timezone.localtime(customer.confirmed_at)
    form = {
        "name": "Ada",
        "email": "ada@example.org",
        "confirmed_at_0": f"{moment:%Y-%m-%d}",
        "confirmed_at_1": f"{moment:%H:%M:%S}",
    }
    page = admin_client.post(f"/admin/meats/customer/{customer.pk}/change/", form)
    assert page.status_code == 302
    customer.refresh_from_db()
    assert (customer.email, customer.confirmed_at) == ("ada@example.org", None)
