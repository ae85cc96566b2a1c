"""The blocks of a page that says what to type, in their order.

A comment before a block says what becomes of it, unseen by readers: `run`, `write: PATH` or
`append: PATH`. Blocks between `start: NAME` and `end` belong to one start.
"""

import re
from dataclasses import dataclass
from pathlib import Path

START = re.compile(r"<!-- start: (\w+) -->(.*?)<!-- end -->", re.DOTALL)
BLOCK = re.compile(r"<!-- (run|write|append)(?:: (\S+))? -->\n```\w+\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """What is typed at one place.

    Attributes:
        kind: "run", "write" or "append".
        path: of the file that is written.
        text: what is typed.
    """

    kind: str
    path: str
    text: str


@dataclass
class Command:
    """A line after a prompt, and the lines that the page shows as its output."""

    line: str
    shown: list[str]


def starts(page: Path) -> dict[str, list[Block]]:
    """Return the blocks of each start by its name."""
    found = {}
    for name, text in START.findall(page.read_text()):
        found[name] = [Block(*block) for block in BLOCK.findall(text)]
        assert len(found[name]) == text.count("```") // 2, f"{name} has a block that nobody types"
    return found


def commands(text: str) -> list[Command]:
    """Return the commands of a block that is run; one goes on while its quotes are open."""
    found: list[Command] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], []))
        elif found[-1].line.count('"') % 2:
            found[-1].line += f"\n{line}"
        else:
            found[-1].shown.append(line)
    return found
