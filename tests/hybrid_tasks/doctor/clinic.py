"""A small system of real processes, and the doctor that looks at it."""

import json
from dataclasses import dataclass
from typing import Any

from tests.conftest import BIN
from tests.loop.system import DJANGO, System, Web
from tests.processes import PATIENCE, Process

LOOP = {"overflow": "celery", "drain_timeout": 1}
CELERY = "tests.loop.celery_app.app"
APPLICATION = "tests.loop.asgi:application"


def tasks(loop: dict[str, Any] = LOOP, **celery: Any) -> dict[str, Any]:
    """Return TASKS with these OPTIONS of the loop, and what else the Celery backend has."""
    return {
        "default": {
            "BACKEND": "hybrid_tasks.backends.eventloop.EventLoopBackend",
            "OPTIONS": loop,
        },
        "celery": {
            "BACKEND": "hybrid_tasks.backends.celery.CeleryBackend",
            "OPTIONS": {"app": CELERY},
            **celery,
        },
    }


@dataclass(frozen=True, slots=True)
class Report:
    """What the doctor said.

    Attributes:
        code: its exit code.
        output: all that it printed.
        lines: of its JSON.
    """

    code: int
    output: str
    lines: list[dict[str, str]]

    def parts(self, *states: str) -> list[str]:
        """Return the names of the parts that are in one of the states."""
        return [line["part"] for line in self.lines if line["state"] in states]

    def assert_named(self, part: str, state: str, *words: str) -> None:
        """Fail unless one line of that part and state has all the words, and says what to do."""
        told = [line for line in self.lines if (line["part"], line["state"]) == (part, state)]
        for line in told:
            assert line["advice"], line
            if all(word in f"{line['seen']} {line['advice']}" for word in words):
                return
        raise AssertionError(f"no {state} line of {part!r} with {words}:\n{self.output}")


class Clinic(System):
    """What is healthy, and a doctor whose settings a test may change."""

    settings = "tests.hybrid_tasks.doctor.settings"

    def env_with(self, overrides: dict[str, Any]) -> dict[str, str]:
        """Return the environment of a process, with other settings."""
        told = {"LOOP_OPTIONS": json.dumps(LOOP), "OVERRIDES": json.dumps(overrides)}
        return self.env | told

    def manage_py(self, *command: str, **overrides: Any) -> Process:
        """Start a management command, with settings of its own."""
        return self.start([*DJANGO, *command], self.env_with(overrides))

    def doctor(self, *options: str, **overrides: Any) -> Report:
        """Return what the doctor says if its settings are other."""
        process = self.manage_py("doctor", "--json", *options, **overrides)
        code = process.popen.wait(timeout=PATIENCE)
        output = process.output()
        return Report(code, output, json.loads(output)["lines"])  # and nothing else is printed

    def check(self, **overrides: Any) -> str:
        """Return what `manage.py check` says, in one line."""
        process = self.manage_py("check", **overrides)
        process.popen.wait(timeout=PATIENCE)
        return " ".join(process.output().split())

    def serve(self, application: str = APPLICATION, **overrides: Any) -> Web:
        """Start uvicorn."""
        self.env["OVERRIDES"] = json.dumps(overrides)
        return self.web(LOOP, [str(BIN / "uvicorn"), application])

    def relay(self, **overrides: Any) -> Process:
        """Start a relay."""
        process = self.manage_py("relay_outbox", "--interval", "1", **overrides)
        process.wait_for("Relaying")
        return process

    def work(self, queues: str, **overrides: Any) -> Process:
        """Start a worker for these queues."""
        return self.worker("--queues", queues, "--concurrency=1", **self.env_with(overrides))
