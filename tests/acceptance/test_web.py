"""The pages on a real uvicorn: what comes before what, in its log."""

import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import httpx

from tests.conftest import StartWeb


def get_all(urls: Sequence[str]) -> list[httpx.Response]:
    """Get all `urls` at once."""
    # One client for all: to make one costs more than a request.
    limits = httpx.Limits(max_connections=None)
    with httpx.Client(timeout=60, limits=limits) as client, ThreadPoolExecutor(len(urls)) as pool:
        return list(pool.map(client.get, urls))


def test_the_answer_comes_between_the_first_line_and_the_rest(start_web: StartWeb) -> None:
    url, web = start_web(STEP_SECONDS="0.5")
    response = httpx.get(f"{url}/smoke_some_meats/?to_smoke=tofu&flavor=Gold Bond")
    assert response.text == "Smoking some tofu...."
    web.wait_for("Who doesn't love smoked tofu?")
    lines = web.lines("INFO    meats.tasks", "GET /smoke_some_meats/")
    assert [line.partition("] ")[2].partition(" - ")[0] for line in lines if "GET" not in line] == [
        "Smoking some tofu....",
        "Applying the Gold Bond....",
        "Tofu smoked.",
        "Who doesn't love smoked tofu?",
    ]
    assert "GET /smoke_some_meats/" in lines[1]
    assert lines[1].endswith("200")


def test_a_hundred_async_requests_are_answered_before_the_first_has_called_out(
    start_web: StartWeb,
) -> None:
    url, web = start_web(STEP_SECONDS="1")
    responses = get_all([f"{url}/async/"] * 100)
    assert {response.text for response in responses} == {"Non-blocking HTTP request"}
    web.wait_for("<Response [200 OK]>", times=100)
    lines = web.lines('"GET /async/', "<Response [200 OK]>")
    assert all("GET /async/" in line for line in lines[:100])


def test_two_sync_requests_wait_side_by_side(start_web: StartWeb) -> None:
    url, web = start_web(STEP_SECONDS="0.4")
    responses = get_all([f"{url}/sync/"] * 2)
    assert {response.text for response in responses} == {"Blocking HTTP request"}
    lines = web.lines("INFO    meats.tasks")
    began = [number for number, line in enumerate(lines) if line.endswith("] 1")]
    ended = [number for number, line in enumerate(lines) if line.endswith("<Response [200 OK]>")]
    assert len(began) == len(ended) == 2
    assert max(began) < min(ended)


def test_two_burns_wait_one_after_the_other(start_web: StartWeb) -> None:
    url, _ = start_web(STEP_SECONDS="0.2", SERVE_BAD_EXAMPLE="true")
    began = monotonic()
    responses = get_all([f"{url}/burn_some_meats/"] * 2)
    # A lower bound: each blocks the only loop for five steps, so the second cannot come sooner.
    assert monotonic() - began >= 2 * 5 * 0.2
    assert {response.text for response in responses} == {"Burned some meats."}


def test_the_bad_example_is_off_in_production(start_web: StartWeb) -> None:
    url, _ = start_web(DEBUG="false", SERVE_BAD_EXAMPLE="")
    assert httpx.get(f"{url}/burn_some_meats/").status_code == 404


def test_production_sends_plain_http_away_but_answers_health_checks(start_web: StartWeb) -> None:
    url, _ = start_web(DEBUG="false", HTTPS_ONLY="true")
    assert httpx.get(url).headers["Location"].startswith("https://")
    health = httpx.get(f"{url}/healthz/", headers={"Host": "10.0.0.7"})
    assert (health.status_code, health.text) == (200, "ok")


def test_a_stopping_server_lets_the_smoking_end(start_web: StartWeb) -> None:
    url, web = start_web(STEP_SECONDS="0.3")
    httpx.get(f"{url}/smoke_some_meats/?to_smoke=a,b,c")
    assert web.stop() == -signal.SIGTERM
    assert "Who doesn't love smoked a?" in web.output()
    assert "drains 1 running and 0 waiting tasks" in web.output()


def test_a_visitor_who_leaves_takes_no_task_along(start_web: StartWeb) -> None:
    url, web = start_web(STEP_SECONDS="0.2")
    with httpx.Client() as client, client.stream("GET", f"{url}/smoke_some_meats/?to_smoke=tofu"):
        pass  # hung up without reading the answer
    web.wait_for("Who doesn't love smoked tofu?")
