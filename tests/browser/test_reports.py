"""The report pages in Chromium: the bar moves by itself, with and without script."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import StartWeb
from tests.project.test_settings import manage

RUN = (
    "INSERT INTO reports_reportrun (id, period, state, cursor, total, done, failed, started,"
    " resumed, done_before, summary, error, finisher_id) VALUES (1, '2026-10', 'running', 0, 400,"
    " 100, 0, '2026-11-01 05:00:00', '2026-11-01 05:00:00', 0, '', '', '')"
)


class Shop:
    """A web server with a database that the test changes."""

    def __init__(self, directory: Path, start_web: StartWeb) -> None:
        self.database = directory / "db.sqlite3"
        env = {
            "SECRET_KEY": "only-for-tests",
            "VAR_DIR": str(directory),
            "DATABASE_URL": f"sqlite:///{self.database}",
            "DJANGO_SUPERUSER_PASSWORD": "smoke and fire",
        }
        superuser = ("--noinput", "--username", "admin", "--email", "admin@localhost")
        for command in (["migrate"], ["createsuperuser", *superuser]):
            done = manage(*command, **env)
            assert done.returncode == 0, done.stderr
        self.change(RUN)
        self.url, _ = start_web(**env)

    def change(self, statement: str) -> None:
        with closing(sqlite3.connect(self.database, timeout=20)) as connection, connection:
            connection.execute(statement)


@pytest.fixture
def shop(start_web: StartWeb, tmp_path: Path) -> Shop:
    return Shop(tmp_path, start_web)


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def page(browser: Browser, shop: Shop, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A phone's page of somebody who is logged in; it fails the test for any complaint."""
    context = browser.new_context(
        viewport={"width": 390, "height": 800}, java_script_enabled=request.param
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{shop.url}/admin/login/?next=/reports/runs/2026-10/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("smoke and fire")
    page.get_by_role("button", name="Log in").click()
    yield page
    context.close()
    assert complaints == []


def test_the_bar_moves_and_the_end_is_shown(page: Page, shop: Shop) -> None:
    expect(page.get_by_text("100 of 400 customers")).to_be_visible()
    shop.change("UPDATE reports_reportrun SET done = 200")
    expect(page.get_by_text("200 of 400 customers")).to_be_visible()
    expect(page.get_by_role("button", name="Retry failed")).to_have_count(0)
    shop.change(
        "UPDATE reports_reportrun SET state = 'finished', done = 399, failed = 1,"
        " finished = '2026-11-01 06:00:00'"
    )
    expect(page.get_by_role("heading", name="Finished")).to_be_visible()
    expect(page.get_by_role("button", name="Retry failed")).to_be_visible()
