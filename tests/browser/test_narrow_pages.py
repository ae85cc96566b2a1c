"""Pages that show what people typed, on the narrowest phone: nothing sticks out, all has room."""

from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE
from tests.meats.smokehouse import Smokehouse

NARROW = {"width": 320, "height": 640}
LONGEST = (Path(__file__).parent / "narrow.py").read_text()


def assert_nothing_sticks_out(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


def test_the_longest_words_have_room(browser: Browser, tmp_path: Path) -> None:
    smokehouse = Smokehouse(tmp_path)
    context = browser.new_context(viewport=NARROW, base_url=smokehouse.url)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE)
    try:
        said = smokehouse.manage("shell", "--no-imports", "-c", f"{LONGEST}\nprint(*paths)")
        order, confirm = said.split()[-2:]
        smokehouse.start_web()
        page = context.new_page()

        page.goto(order)
        expect(page.get_by_role("list", name="Refunds and corrections")).to_contain_text(
            "-$1,000.00"
        )
        expect(page.get_by_text("Total now $42.50")).to_be_visible()
        assert_nothing_sticks_out(page)

        page.goto(confirm)
        assert_nothing_sticks_out(page)
        boxes = [button.bounding_box() for button in page.get_by_role("button").all()]
        first, second = (box for box in boxes if box)
        assert second["y"] - first["y"] - first["height"] >= 8  # no finger takes both
        page.get_by_role("button", name="no news").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Thank you")
        assert_nothing_sticks_out(page)
    finally:
        context.close()
        smokehouse.close()
