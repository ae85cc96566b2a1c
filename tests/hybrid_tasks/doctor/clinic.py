"""A small system of real processes, and the doctor that looks at it."""

import json
import os
from dataclasses import dataclass
from typing import Any

from tests.faults.system import FaultSystem
from tests.loop.system import DJANGO, System, Web
from tests.processes import Process

LOOP = {"overflow": "celery", "drain_timeout": 1}


@dataclass(frozen=True, slots=True)
class Report:
    """What the doctor said.

    Attributes:
        code: its exit code.
        output: all that it printed, log and all.
        lines: of its JSON.
    """

    code: int
    output: str
    lines: list[dict[str, str]]

    def of(self, part: str, state: str | None = None) -> list[dict[str, str]]:
        """Return the lines whose part begins so, in that state or in any."""
        return [
            line
            for line in self.lines
            if line["part"].startswith(part) and state in (None, line["state"])
        ]

    def states(self) -> set[str]:
        return {line["state"] for line in self.lines}

    def named(self, part: str, state: str, *words: str) -> dict[str, str]:
        """Return the one line of that part and state which has all the words; fail if none has."""
        for line in self.of(part, state):
            if all(word in f"{line['seen']} {line['advice']}" for word in words):
                return line
        raise AssertionError(f"no {state} line of {part!r} with {words}:\n{self.output}")


class Clinic(System):
    """Starts what is healthy, and lets the doctor look."""

    settings = "tests.hybrid_tasks.doctor.settings"

    def overridden(self, overrides: dict[str, Any]) -> dict[str, str]:
        return self.env | {
            "LOOP_OPTIONS": json.dumps(LOOP),
            "OVERRIDES": json.dumps(overrides),
        }

    def manage_py(self, *command: str, **overrides: Any) -> Process:
        """Start a management command, with settings of its own."""
        return self.start([*DJANGO, *command], self.overridden(overrides))

    def doctor(self, *options: str, **overrides: Any) -> Report:
        """Ask the doctor for JSON; give the settings that are other for it."""
        process = self.manage_py("doctor", "--json", *options, **overrides)
        code = process.popen.wait(timeout=120)
        output = process.output()
        assert "Traceback" not in output, output
        return Report(code, output, json.loads(output[output.index("{\n") :])["lines"])

    def check(self, *options: str, **overrides: Any) -> str:
        """Return what `manage.py check` says."""
        process = self.manage_py("check", *options, **overrides)
        process.popen.wait(timeout=120)
        return process.output()

    def serve(self) -> Web:
        return self.web(LOOP)

    def relay(self, **overrides: Any) -> Process:
        process = self.manage_py("relay_outbox", "--interval", "1", **overrides)
        process.wait_for("Relaying")
        return process

    def serve_queues(self, queues: str, **overrides: Any) -> Process:
        """Start a worker for these queues."""
        return self.worker("--queues", queues, "--concurrency=1", **self.overridden(overrides))


__all__ = ["LOOP", "Clinic", "FaultSystem", "Report", "os"]
