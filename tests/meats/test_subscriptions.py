"""Subscribing and unsubscribing."""

import pytest
from django.core import mail
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from hybrid_tasks.testing import capture_tasks
from meats.models import Customer
from meats.ordering import confirm, subscribe

pytestmark = pytest.mark.django_db


def test_subscribing_and_confirming_twice_welcomes_once(
    client: Client,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    form = {"subscribe-name": "Ben Birch", "subscribe-email": "ben@example.com"}
    with capture_tasks() as tasks:
        for _ in range(2):
            with django_capture_on_commit_callbacks(execute=True):
                assert client.post("/subscribe/", form).status_code == 302
        for _ in range(2):
            with django_capture_on_commit_callbacks(execute=True):
                confirm(Customer.objects.get(), subscribes=True)
        tasks.run()
    _, welcome = mail.outbox
    headers = welcome.message()
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = headers["List-Unsubscribe"].strip("<>")
    assert link in welcome.body
    page = client.get("/", headers={"accept": "text/html"}).content.decode()
    assert "Please follow the link in the email" in page


def unsubscribe_path() -> str:
    link: str = mail.outbox[-1].message()["List-Unsubscribe"].strip("<>")
    return link.removeprefix("http://127.0.0.1:8000")


def test_one_click_unsubscribes_once_and_a_look_does_not(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    client = Client(enforce_csrf_checks=True)  # a mail program has no cookie of ours
    with capture_tasks() as tasks, django_capture_on_commit_callbacks(execute=True):
        subscribe("Ben", "ben@example.com")
        customer = Customer.objects.get()
        confirm(customer, subscribes=True)
    tasks.run()
    path = unsubscribe_path()

    assert b"Unsubscribe?" in client.get(path).content
    customer.refresh_from_db()
    assert customer.is_subscribed

    one_click = {"List-Unsubscribe": "One-Click"}
    assert client.post(path, one_click).status_code == 200
    customer.refresh_from_db()
    moment = customer.unsubscribed_at
    assert not customer.is_subscribed
    assert client.post(path, one_click).status_code == 200
    customer.refresh_from_db()
    assert customer.unsubscribed_at == moment

    assert client.post(path[:-2] + "/", one_click).status_code == 404
    other = path.replace(f"/{customer.pk}:", f"/{customer.pk + 1}:")
    assert client.post(other, one_click).status_code == 404
