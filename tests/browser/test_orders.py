"""Ordering in a real browser: bars that move by themselves, and what has happened behind them."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import PATIENCE
from tests.meats.smokehouse import Smokehouse
from tests.processes import wait_until

XSS = "<script>alert(1)</script>"

type NewPage = Callable[..., Page]


@pytest.fixture
def smokehouse(tmp_path: Path) -> Iterator[Smokehouse]:
    smokehouse = Smokehouse(tmp_path)
    smokehouse.mail.start()
    smokehouse.partner.start()
    yield smokehouse
    smokehouse.close()


@pytest.fixture
def new_page(browser: Browser, smokehouse: Smokehouse) -> Iterator[NewPage]:
    """A function that opens a page in a browser of its own; errors in its scripts fail the test.

    It needs `smokehouse` so that it is closed before the server is.
    """
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_page(**options: Any) -> Page:
        context = browser.new_context(base_url=smokehouse.url, **options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: errors.append(f"dialog: {dialog.message}"))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


def fill_in(page: Page, **more: str) -> None:
    """Fill in the order form on the home page."""
    page.goto("/")
    form = page.locator("#order")
    fields = {"Name": "Ada Ash", "Email": "ada@example.com", "Flavor": "Gold Bond", **more}
    for label, text in fields.items():
        form.get_by_label(label).fill(text)


def send(page: Page) -> None:
    page.locator("#order").get_by_role("button", name="Order").click()


def bars(page: Page) -> list[int]:
    values: list[int] = page.locator("progress").evaluate_all("all => all.map(one => one.value)")
    return values


def expect_effects_done(page: Page, *effects: str) -> None:
    for effect in ("confirmation", "partner", "receipt", *effects):
        expect(page.locator(f"[data-task={effect}]")).to_have_text("done")


def expect_done(page: Page) -> None:
    expect(page.locator("#note")).to_have_text("All smoked.")
    expect_effects_done(page, "smoke")
    assert set(bars(page)) == {2}


def plain_texts(smokehouse: Smokehouse) -> list[str]:
    mails = smokehouse.mail.received()
    return [mail.get_body(("plain",)).get_content() for mail in mails]  # type: ignore[union-attr]


def link_to_confirm(smokehouse: Smokehouse) -> str:
    wait_until(smokehouse.mail.received, "the question has arrived")
    (text,) = plain_texts(smokehouse)
    found = re.search(r"http\S+/confirm/\S+", text)
    assert found, text
    return found[0]


def test_an_order_is_watched_to_its_end(smokehouse: Smokehouse, new_page: NewPage) -> None:
    smokehouse.start_web(STEP_SECONDS="1")
    page = new_page()
    loads: list[str] = []
    page.on("load", lambda loaded: loads.append(loaded.url))
    fill_in(page, **{"Anything else": "Tofu"})
    send(page)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Order ")
    seen = {tuple(bars(page))}
    while page.locator("#note").inner_text() != "All smoked.":
        seen.add(tuple(bars(page)))
        page.wait_for_timeout(50)
    expect_done(page)
    assert len(loads) == 2  # the home page, and the order's: nothing was loaded again
    assert len(seen) > 2

    own = new_page()
    own.goto(link_to_confirm(smokehouse))
    own.get_by_role("button", name="Yes, this is my address").click()
    expect(own.get_by_role("heading", level=1)).to_have_text("Thank you")
    wait_until(lambda: len(smokehouse.mail.received()) == 2, "the order's details have arrived")
    assert any(page.url in text for text in plain_texts(smokehouse))
    ((_, told),) = smokehouse.partner.accepted()
    assert told["meats"] == ["ribs", "brisket", "tofu"]
    (receipt,) = smokehouse.receipts()
    assert receipt.stem in page.url
    assert "43.50" in receipt.read_text()

    page.get_by_role("button", name="I have collected it").click()
    expect(page.get_by_role("status")).to_contain_text("Enjoy your meal!")


def test_without_javascript_the_page_reloads_itself(
    smokehouse: Smokehouse, new_page: NewPage
) -> None:
    smokehouse.start_web(STEP_SECONDS="3")
    page = new_page(java_script_enabled=False)
    fill_in(page)
    send(page)
    expect(page.locator("#note")).to_contain_text(re.compile("Smoking some|Applying the"))
    expect(page.locator("#note")).to_have_text("All smoked.")
    expect(page.locator("[data-task=confirmation]")).to_have_text("done")
    page.get_by_role("button", name="I have collected it").click()
    expect(page.get_by_role("status")).to_contain_text("Enjoy your meal!")


def test_two_tabs_show_the_same(smokehouse: Smokehouse, new_page: NewPage) -> None:
    smokehouse.start_web()
    first, second = new_page(), new_page()
    fill_in(first)
    send(first)
    second.goto(first.url)
    expect_done(first)
    expect_done(second)
    assert len(smokehouse.partner.calls) == len(smokehouse.mail.received()) == 1


def test_a_double_click_makes_one_order(smokehouse: Smokehouse, new_page: NewPage) -> None:
    smokehouse.start_web()
    page = new_page()
    fill_in(page)
    page.locator("#order").get_by_role("button", name="Order").dblclick()
    expect_done(page)
    assert len(smokehouse.partner.calls) == len(smokehouse.mail.received()) == 1


def test_wrong_input_is_explained_and_kept(smokehouse: Smokehouse, new_page: NewPage) -> None:
    smokehouse.start_web()
    page = new_page()
    fill_in(page, **{"Anything else": "tofu, " + "x" * 51, "Email": "ada", "Name": ""})
    form = page.locator("#order")
    form.get_by_label("Salmon").check()
    send(page)
    for label, message in {
        "Anything else": "a meat's name has at most 50",
        "Email": "Enter a valid email address.",
        "Name": "This field is required.",
    }.items():
        field = form.get_by_label(label)
        expect(field).to_have_attribute("aria-invalid", "true")
        described = (field.get_attribute("aria-describedby") or "").split()
        texts = [page.locator(f"#{element_id}").inner_text() for element_id in described]
        assert message in " ".join(texts)
    expect(form.get_by_label("Email")).to_have_value("ada")
    expect(form.get_by_label("Flavor")).to_have_value("Gold Bond")
    expect(form.get_by_label("Salmon")).to_be_checked()
    assert smokehouse.partner.calls == []

    form.get_by_label("Anything else").fill("tofu")
    form.get_by_label("Email").fill("ada@example.com")
    form.get_by_label("Name").fill("Ada")
    send(page)
    expect_done(page)


def test_markup_in_every_field_stays_text(smokehouse: Smokehouse, new_page: NewPage) -> None:
    smokehouse.start_web()
    page = new_page()
    fill_in(page, **{"Name": XSS, "Flavor": XSS, "Anything else": XSS, "Email": XSS})
    send(page)
    expect(page.locator("#order").get_by_label("Flavor")).to_have_value(XSS)
    page.locator("#order").get_by_label("Email").fill("ada@example.com")
    send(page)
    expect(page.get_by_text(XSS, exact=True)).to_be_visible()
    expect_done(page)
    assert f"With {XSS}" in page.inner_text("header")
    page.goto("/")
    expect(page.get_by_text("something of their own").first).to_be_visible()
    assert XSS not in page.inner_text("body")
    page.goto(link_to_confirm(smokehouse))
    page.get_by_role("button", name="Yes, this is my address").click()
    wait_until(lambda: len(smokehouse.mail.received()) == 2, "the order's details have arrived")
    for mail in smokehouse.mail.received():
        assert XSS not in mail.get_body(("html",)).get_content()  # type: ignore[union-attr]


def test_a_restart_in_the_middle_of_an_order(smokehouse: Smokehouse, new_page: NewPage) -> None:
    web = smokehouse.start_web(DRAIN_TIMEOUT="0", STEP_SECONDS="5")
    page = new_page()
    loads: list[str] = []
    page.on("load", lambda loaded: loads.append(loaded.url))
    fill_in(page)
    send(page)
    expect_effects_done(page)
    expect(page.locator("#note")).to_contain_text("Applying the Gold Bond")
    web.stop()
    assert "handed 1 tasks over" in web.output()
    smokehouse.start_worker()
    smokehouse.start_web()
    expect_done(page)
    assert len(loads) == 2
    assert len(smokehouse.partner.calls) == len(smokehouse.mail.received()) == 1


def test_subscribing_and_unsubscribing(smokehouse: Smokehouse, new_page: NewPage) -> None:
    smokehouse.start_web()
    page = new_page()
    page.goto("/")
    form = page.locator("#subscribe")
    form.get_by_label("Name").fill("Ben")
    form.get_by_label("Email").fill("ben@example.com")
    form.get_by_role("button", name="Subscribe").click()
    expect(page.get_by_role("status")).to_contain_text("Please follow the link in the email")
    page.goto(link_to_confirm(smokehouse))
    page.get_by_role("button", name="I want to hear from the smoker").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Thank you")
    wait_until(lambda: len(smokehouse.mail.received()) == 2, "the welcome has arrived")
    links = [mail["List-Unsubscribe"] for mail in smokehouse.mail.received()]
    page.goto(next(filter(None, links)).strip("<>"))
    page.get_by_role("button", name="Unsubscribe").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You are unsubscribed")
