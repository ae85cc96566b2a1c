"""The pages on a real uvicorn: what comes before what, in its log."""

import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Any

import httpx
import pytest

from tests.acceptance.patient import get
from tests.conftest import StartWeb
from tests.processes import PATIENCE, free_port, wait_until


class SilentPartner(ThreadingHTTPServer):
    """What the side effects call; it answers nobody before `answer` is set."""

    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", free_port()), PartnerHandler)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        self.answer = threading.Event()


class PartnerHandler(BaseHTTPRequestHandler):
    server: SilentPartner

    def do_GET(self) -> None:
        self.server.answer.wait()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        pass


@pytest.fixture
def partner() -> Iterator[SilentPartner]:
    with SilentPartner() as partner:
        thread = threading.Thread(target=partner.serve_forever)
        thread.start()
        yield partner
        partner.answer.set()
        partner.shutdown()
        thread.join()


def get_all(urls: Sequence[str]) -> list[httpx.Response]:
    """Get all `urls` at once."""
    # One client for all: to make one costs more than a request.
    limits = httpx.Limits(max_connections=None)
    with (
        httpx.Client(timeout=PATIENCE, limits=limits) as client,
        ThreadPoolExecutor(len(urls)) as pool,
    ):
        return list(pool.map(client.get, urls))


def test_the_answer_comes_between_the_first_line_and_the_rest(start_web: StartWeb) -> None:
    # A step that ends after the test: whatever hangs, the answer is there before the next line.
    url, web = start_web(STEP_SECONDS="60")
    response = get(f"{url}/smoke_some_meats/?to_smoke=tofu&flavor=Gold Bond")
    assert response.text == "Smoking some tofu...."
    first, second = web.lines("INFO    meats.tasks", "GET /smoke_some_meats/")
    assert first.endswith("] Smoking some tofu....")
    assert "GET /smoke_some_meats/" in second
    assert second.endswith("200")


def test_the_smoking_goes_step_by_step(start_web: StartWeb) -> None:
    url, web = start_web(STEP_SECONDS="0.1")
    get(f"{url}/smoke_some_meats/?to_smoke=tofu&flavor=Gold Bond")
    web.wait_for("Who doesn't love smoked tofu?")
    lines = web.lines("INFO    meats.tasks")
    assert [line.partition("] ")[2] for line in lines] == [
        "Smoking some tofu....",
        "Applying the Gold Bond....",
        "Tofu smoked.",
        "Who doesn't love smoked tofu?",
    ]


def test_a_hundred_async_requests_are_answered_before_the_first_has_called_out(
    start_web: StartWeb, partner: SilentPartner
) -> None:
    url, web = start_web(STEP_SECONDS="1", OUTGOING_URL=partner.url)
    responses = get_all([f"{url}/async/"] * 100)
    assert {response.text for response in responses} == {"Non-blocking HTTP request"}
    partner.answer.set()
    web.wait_for("<Response [200 OK]>", times=100)
    lines = web.lines('"GET /async/', "<Response [200 OK]>")
    assert all("GET /async/" in line for line in lines[:100])


def test_two_sync_requests_wait_side_by_side(start_web: StartWeb, partner: SilentPartner) -> None:
    url, web = start_web(STEP_SECONDS="0.1", OUTGOING_URL=partner.url)

    def begun() -> int:
        return sum(line.endswith("] 1") for line in web.lines("INFO    meats.tasks"))

    with ThreadPoolExecutor() as pool:
        responses = pool.submit(get_all, [f"{url}/sync/"] * 2)
        wait_until(lambda: begun() == 2, "both have begun, of which none can end")
        partner.answer.set()
    assert {response.text for response in responses.result()} == {"Blocking HTTP request"}
    assert len(web.lines("<Response [200 OK]>")) == 2


def test_two_burns_wait_one_after_the_other(start_web: StartWeb) -> None:
    url, _ = start_web(STEP_SECONDS="0.2", SERVE_EXAMPLES="true")
    began = monotonic()
    responses = get_all([f"{url}/burn_some_meats/"] * 2)
    # A lower bound: each blocks the only loop for five steps, so the second cannot come sooner.
    assert monotonic() - began >= 2 * 5 * 0.2
    assert {response.text for response in responses} == {"Burned some meats."}


def test_the_bad_example_is_off_in_production(start_web: StartWeb) -> None:
    url, _ = start_web(DEBUG="false", SERVE_EXAMPLES="")
    assert get(f"{url}/burn_some_meats/").status_code == 404


def test_production_sends_plain_http_away_but_answers_health_checks(start_web: StartWeb) -> None:
    url, _ = start_web(DEBUG="false", HTTPS_ONLY="true")
    assert get(url).headers["Location"].startswith("https://")
    health = get(f"{url}/healthz/", headers={"Host": "10.0.0.7"})
    assert (health.status_code, health.text) == (200, "ok")


def test_a_stopping_server_lets_a_side_effect_end(
    start_web: StartWeb, partner: SilentPartner
) -> None:
    url, web = start_web(STEP_SECONDS="0", OUTGOING_URL=partner.url)
    get(f"{url}/async/")
    web.popen.terminate()
    web.wait_for("drains 1 running and 0 waiting tasks")
    partner.answer.set()
    assert web.popen.wait(PATIENCE) == -signal.SIGTERM
    assert "<Response [200 OK]>" in web.output()


def test_a_visitor_who_leaves_takes_no_task_along(start_web: StartWeb) -> None:
    url, web = start_web(STEP_SECONDS="0.2")
    smoking = f"{url}/smoke_some_meats/?to_smoke=tofu"
    with httpx.Client(timeout=PATIENCE) as client, client.stream("GET", smoking):
        pass  # hung up without reading the answer
    web.wait_for("Who doesn't love smoked tofu?")
