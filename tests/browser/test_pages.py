"""The pages as a browser shows them: nothing refused by the security policy, nothing missing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import StartWeb
from tests.project.test_settings import manage


@pytest.fixture
def page(browser: Browser, start_web: StartWeb) -> Iterator[Page]:
    """A page of a phone's width that fails the test for any complaint in its console.

    It needs `start_web` so that it is closed before the servers are.
    """
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


def database(directory: Path) -> dict[str, str]:
    """Make an empty database; return the variables that name it."""
    env = {
        "SECRET_KEY": "only-for-tests",
        "VAR_DIR": str(directory),
        "DATABASE_URL": f"sqlite:///{directory}/db.sqlite3",
    }
    done = manage("migrate", **env)
    assert done.returncode == 0, done.stderr
    return env


def test_home_page_on_a_phone(page: Page, start_web: StartWeb, tmp_path: Path) -> None:
    url, web = start_web(STEP_SECONDS="0", **database(tmp_path))
    page.goto(url)
    assert page.inner_text("h1") == "Hello, async Django!"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    form = page.locator("#smoke")
    form.get_by_label("What to smoke").fill("<b>tofu</b>, Ribs")
    form.get_by_label("Flavor").fill("Gold Bond")
    page.get_by_role("button", name="Smoke it").click()
    expect(page.locator("body")).to_have_text("Smoking some <b>tofu</b> and ribs....")
    web.wait_for("Applying the Gold Bond....", times=2)


def test_home_page_follows_the_systems_dark_mode(
    browser: Browser, start_web: StartWeb, tmp_path: Path
) -> None:
    url, _ = start_web(**database(tmp_path))
    backgrounds = []
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto(url)
        backgrounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        context.close()
    light, dark = backgrounds
    assert light != dark


def test_admin_edits_a_periodic_task(page: Page, start_web: StartWeb, tmp_path: Path) -> None:
    env = {**database(tmp_path), "DJANGO_SUPERUSER_PASSWORD": "smoke and fire"}
    superuser = ("--noinput", "--username", "admin", "--email", "admin@localhost")
    for command in (["sync_schedules"], ["createsuperuser", *superuser]):
        done = manage(*command, **env)
        assert done.returncode == 0, done.stderr

    url, _ = start_web(**env)
    page.goto(f"{url}/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("smoke and fire")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    page.goto(f"{url}/admin/django_celery_beat/periodictask/")
    page.get_by_role("link", name="Nightly cleanup").click()
    expect(page.locator(".field-crontab_translation")).to_contain_text("At 03:00 AM UTC")
    page.get_by_label("Enabled").uncheck()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("was changed successfully")
