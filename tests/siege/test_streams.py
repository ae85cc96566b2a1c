"""Open order pages: a thousand visitors with some each, and one with all that they can get."""

from tests.siege.conftest import Build, Report
from tests.siege.fortress import Fortress
from tests.siege.reporting import Line
from tests.siege.scale import scaled
from tests.siege.strangers import address, open_streams, statuses, strangers

ORDERS = 20
FOR_EACH = 4  # streams of one visitor, each with some pages open
GOING_ON = {"STEP_SECONDS": "60"}  # so that no stream ends by itself


async def ordered(shop: Fortress, number: int) -> list[str]:
    """Order so often; return the orders' paths."""
    async with strangers(shop.url, number) as who:
        return [await one.order(f"visitor-{n}@example.com") for n, one in enumerate(who)]


async def test_a_thousand_streams_from_many_addresses(fortress: Build, report: Report) -> None:
    """A1: each of them held a connection to the database, and a hundred took the shop down."""
    shop = fortress(**GOING_ON)
    paths = await ordered(shop, ORDERS)
    streams = scaled(1_000)
    sources = [address(1_000 + number // FOR_EACH) for number in range(streams)]
    sizes = []
    for _ in range(2):
        with shop.watch("/", paths[0]) as watch:
            async with open_streams(shop.url, paths, sources) as lines:
                answered = statuses(lines)
        sizes.append(shop.memory())
    assert answered == {200: streams}
    growth = sizes[1] / sizes[0] - 1
    told = f"200: {answered[200]}"
    report(Line("streams of many", f"{streams} streams", told, watch.seen, shop.bound, growth))


async def test_one_visitor_wants_all_streams(fortress: Build, report: Report) -> None:
    """A23: the others still get theirs."""
    shop = fortress(MAX_STREAMS="50", **GOING_ON)
    (path,) = await ordered(shop, 1)
    wanted = 300  # also in a tenth of a siege: so many have to be refused
    with shop.watch("/", path) as watch:
        async with open_streams(shop.url, [path], [address(2_000)] * wanted) as lines:
            answered = statuses(lines)
            async with open_streams(shop.url, [path], [address(2_001)] * 2) as others:
                assert statuses(others) == {200: 2}
    assert set(answered) == {200, 429}
    assert answered[429] > wanted // 2
    told = f"200: {answered[200]}, 429: {answered[429]}"
    report(Line("streams of one", f"{wanted} streams", told, watch.seen, shop.bound))
