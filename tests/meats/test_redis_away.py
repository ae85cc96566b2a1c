"""While Redis is away the log says so once, and once that it is back; nobody is kept waiting."""

import time
from pathlib import Path

from dev.broker import broker_command
from meats.watching import POLL_SECONDS
from tests.meats.smokehouse import VISITOR, Smokehouse
from tests.processes import Process, free_port, port_is_open, wait_until

POSTS = 5  # that one address may send in an hour
TURNS = 8  # of the reader, which would say it each time
SAID = {
    "meats.outages": 2,
    "Requests are counted by each process for itself": 1,
    "The results of tasks cannot be read": 1,
    "hybrid-tasks-recorder cannot write": 1,
}
SAID_AGAIN = {
    "Requests are counted for all processes": 1,
    "The results of tasks can be read again": 1,
    "hybrid-tasks-recorder writes again": 1,
}


def test_an_outage_is_told_once_and_so_is_its_end(tmp_path: Path) -> None:
    port = free_port()

    def start_redis() -> Process:
        directory = tmp_path / "redis"
        directory.mkdir(exist_ok=True)
        process = Process(broker_command(port, str(directory)), {}, tmp_path / "redis.log")
        wait_until(lambda: port_is_open(port), "Redis listens")
        return process

    redis = start_redis()
    smokehouse = Smokehouse(
        tmp_path,
        REDIS_URL=f"redis://127.0.0.1:{port}/0",
        STEP_SECONDS="60",
        DRAIN_TIMEOUT="0",
        POST_RATE=f"{POSTS}/hour",
    )
    try:
        smokehouse.mail.start()
        smokehouse.partner.start()
        web = smokehouse.start_web()
        visitor, watcher = smokehouse.visitor(), smokehouse.visitor()
        form = visitor.fresh_form()
        path = visitor.order()
        with watcher.http.stream("GET", f"{path}events/") as stream:
            lines = stream.iter_lines()
            assert next(lines) == "retry: 1000"
            redis.kill()
            for _ in range(POSTS):
                refused = visitor.send("/orders/", **form, **{**VISITOR, "email": "nope"})
                assert refused.status_code == 400
                assert visitor.http.get(path).status_code == 200
            assert visitor.send("/orders/", **form, **VISITOR).status_code == 429
            web.wait_for("The results of tasks cannot be read")
            time.sleep(TURNS * POLL_SECONDS)  # what must not be said has no sign to wait for
            assert {text: web.output().count(text) for text in SAID} == SAID
            assert "Traceback" not in web.output()

            redis = start_redis()
            web.wait_for("The results of tasks can be read again")
            web.wait_for("hybrid-tasks-recorder writes again")
            assert visitor.send("/orders/", **form, **VISITOR).status_code == 302
            assert {text: web.output().count(text) for text in SAID_AGAIN} == SAID_AGAIN
            assert web.output().count("meats.outages") == 4
    finally:
        smokehouse.close()
        redis.kill()
