"""What one visitor may take of a real server: posts, counted in Redis, and open streams."""

from pathlib import Path

from meats.rates import counting
from tests.meats.smokehouse import VISITOR, Smokehouse
from tests.processes import wait_until


def test_posts_and_streams_are_limited(tmp_path: Path) -> None:
    smokehouse = Smokehouse(tmp_path, POST_RATE="2/hour", MAX_STREAMS="1", STEP_SECONDS="60")
    try:
        smokehouse.mail.start()
        smokehouse.partner.start()
        web = smokehouse.start_web(DRAIN_TIMEOUT="0")
        visitor = smokehouse.visitor()
        path = visitor.order()
        visitor.order()
        refused = visitor.send("/orders/", **visitor.fresh_form(), **VISITOR)
        assert refused.status_code == 429
        assert 0 < int(refused.headers["Retry-After"]) <= 3600

        stream = f"{path}events/"
        with visitor.http.stream("GET", stream) as response:
            assert response.status_code == 200
            refused = visitor.http.get(stream)
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")

        def is_free() -> bool:
            with visitor.http.stream("GET", stream) as response:
                return response.status_code == 200

        wait_until(is_free, "the place of one who left is free again")
        assert counting.cannot not in web.output()
    finally:
        smokehouse.close()
