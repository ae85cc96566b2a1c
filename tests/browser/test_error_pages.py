"""What goes wrong, as a browser shows it: on the narrowest phone, by day and by night."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE
from tests.conftest import StartWeb
from tests.project.test_settings import manage

NARROW = {"width": 320, "height": 640}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop")


@pytest.fixture
def url(directory: Path, start_web: StartWeb) -> str:
    """A web server in production, with two posts an hour for each address."""
    env = {
        "DJANGO_SETTINGS_MODULE": "tests.browser.production_settings",
        "SECRET_KEY": "only-for-tests",
        "VAR_DIR": str(directory),
        "DATABASE_URL": f"sqlite:///{directory}/db.sqlite3",
        "POST_RATE": "2/hour",
        "HTTPS_ONLY": "false",
    }
    done = manage("migrate", **env)
    assert done.returncode == 0, done.stderr
    return start_web(**env)[0]


@pytest.fixture(params=["light", "dark"])
def page(browser: Browser, url: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page that fails the test for whatever the browser refuses or does not understand."""
    context = browser.new_context(viewport=NARROW, color_scheme=request.param, base_url=url)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    # The browser says of each answer from 400 on that it "failed to load".
    assert [text for text in complaints if "status of" not in text] == []


def unknown_address(page: Page) -> None:
    page.goto("/nowhere/")


def fault(page: Page) -> None:
    page.goto("/broken/")


def old_form(page: Page) -> None:
    page.goto("/")
    page.context.clear_cookies()
    page.locator("#subscribe").get_by_role("button").click()


def too_often(page: Page) -> None:
    for _ in range(3):
        page.goto("/")
        page.locator("#subscribe").get_by_label("Email").fill("ada@example")
        page.locator("#subscribe").get_by_role("button").click()


@pytest.mark.parametrize(
    ("go", "status", "heading"),
    [
        (unknown_address, "404", "Nothing on this grill"),
        (fault, "500", "Something went wrong here"),
        (old_form, "403", "The form was not taken"),
        (too_often, "429", "You are too quick for us"),
    ],
)
def test_an_error_has_a_page_of_ours(
    go: Callable[[Page], None], status: str, heading: str, page: Page
) -> None:
    go(page)
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    expect(page.locator(".status")).to_have_text(status)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    # The site's style has been read: it is not the browser's own.
    assert page.evaluate("getComputedStyle(document.body).borderTopWidth") == "6px"
    page.get_by_role("link", name="To the home page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Hello, async Django!")


def test_a_form_that_came_too_often_is_sent_once_more(page: Page) -> None:
    too_often(page)
    form = page.locator("#subscribe")
    expect(form.get_by_label("Email")).to_have_value("ada@example")
    expect(page.locator(".lead")).to_contain_text(re.compile(r"try again in \d+ (s|min)"))
    form.get_by_label("Email").fill("ada@example.com")
    form.get_by_role("button").click()
    expect(form.get_by_label("Email")).to_have_value("ada@example.com")
    expect(page.locator(".status")).to_have_text("429")


@pytest.mark.parametrize("with_script", [True, False], ids=["script", "no script"])
def test_after_wrong_input_the_summary_has_the_focus(
    with_script: bool, browser: Browser, url: str
) -> None:
    context = browser.new_context(
        viewport=NARROW,  # type: ignore[arg-type]
        base_url=url,
        java_script_enabled=with_script,
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto("/")
    form = page.locator("#order")
    for box in form.get_by_role("checkbox").all():
        box.uncheck()
    form.get_by_label("Email").fill("ada")
    form.get_by_role("button").click()
    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    expect(summary).to_be_in_viewport()
    assert "Not sent yet" in page.title()
    told = [line.inner_text() for line in summary.get_by_role("listitem").all()]
    assert told == [
        "Meats: Choose at least one meat.",
        "Name: This field is required.",
        "Email: Enter a valid email address.",
    ]
    # Each link leads to its field; and so does the next press of the Tab key.
    page.keyboard.press("Tab")
    expect(summary.get_by_role("link", name="Meats")).to_be_focused()
    for name in ("Meats", "Name", "Email"):
        summary.get_by_role("link", name=name).click()
        field = form.get_by_label("Ribs" if name == "Meats" else name)
        expect(field).to_be_focused()
    for name in ("Name", "Email"):
        field = form.get_by_label(name)
        expect(field).to_have_attribute("aria-invalid", "true")
        described = field.get_attribute("aria-describedby") or ""
        assert page.locator(f"#{described}").inner_text() in " ".join(told)
    context.close()
