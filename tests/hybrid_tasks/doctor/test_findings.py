"""What the doctor makes of clocks, and of what waits in the outbox."""

import time

import dj_database_url
import pytest

from hybrid_tasks.doctor import database
from hybrid_tasks.doctor.broker import Worker, look_at_clocks
from hybrid_tasks.doctor.database import look_at_database, look_at_outbox
from hybrid_tasks.doctor.lines import Line, State
from hybrid_tasks.outbox import inserts
from hybrid_tasks.outbox.clock import After
from hybrid_tasks.outbox.inserts import NewRow
from tests.hybrid_tasks.doctor.clinic import Clinic
from tests.hybrid_tasks.outbox.rows import change, make
from tests.postgres import Postgres

ours = pytest.mark.usefixtures("only_loop")


def outbox_line() -> Line:
    (line,) = look_at_outbox()
    return line


def leave(state: str, seconds: float) -> None:
    """Leave a row in that state, due in so many seconds."""
    result = make()
    inserts.insert([NewRow(result, holder="somebody", lease=1000)])
    change(result.id, state=state, available_at=After(seconds))


@ours
def test_an_outbox_in_which_all_is_on_its_way() -> None:
    assert outbox_line() == Line("outbox", State.OK, "empty")
    leave("WAITING", 3600)
    leave("CLAIMED", 30)
    leave("SENT", 30)
    leave("WAITING", -10)
    line = outbox_line()
    assert line.state is State.OK
    assert line.seen == "1 waiting, 1 scheduled, 1 claimed, 1 sent"


@ours
def test_dead_letters_are_a_warning() -> None:
    leave("DEAD", -3600)
    line = outbox_line()
    assert (line.state, line.seen) == (State.WARNING, "1 dead letter")
    assert "1 dead letter in the admin" in line.advice
    leave("DEAD", -3600)
    assert outbox_line().seen == "2 dead letters"


def test_the_clock_of_postgresql(healthy: Clinic, postgres: Postgres) -> None:
    report = healthy.doctor(DATABASES={"default": dj_database_url.parse(postgres.new_database())})
    (line,) = [line for line in report.lines if line["part"].startswith("database")]
    assert line["state"] == "ok", line
    assert "PostgreSQL answers in" in line["seen"]
    assert "its clock is ours" in line["seen"]
    report.assert_named("migrations", "bad", "0001_outbox")


@ours
@pytest.mark.parametrize("state", ["WAITING", "SENT"])
def test_a_row_that_nobody_takes(state: str) -> None:
    leave("DEAD", -3600)
    leave(state, -600)
    line = outbox_line()
    assert line.state is State.BAD
    assert "has waited for 10 min" in line.seen
    assert "relay" in line.advice


@ours
@pytest.mark.parametrize(("off", "told"), [(30.0, "30.0 s ahead of"), (-7.5, "7.5 s behind")])
def test_a_database_whose_clock_is_wrong(
    off: float, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "read_clock", lambda _alias: time.time() + off)
    (line,) = look_at_database()
    assert line.state is State.WARNING
    assert f"its clock is {told} ours" in line.seen


def test_workers_whose_clocks_are_wrong() -> None:
    workers = [
        Worker("right", off=0.05, unsure=0.01),
        Worker("slow to answer", off=3.0, unsure=1.5),  # which may be right as well
        Worker("wrong", off=-60.0, unsure=0.01),
        Worker("old"),
    ]
    lines = {line.part: line for line in look_at_clocks(workers)}
    assert lines["clock of wrong"].state is State.WARNING
    assert "60.0 s behind ours" in lines["clock of wrong"].seen
    assert lines["worker old"].state is State.WARNING
    assert lines["clocks of workers"] == Line(
        "clocks of workers", State.OK, "3.0 s off ours at the most"
    )
    assert len(lines) == 3
