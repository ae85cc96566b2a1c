"""Where the parts of the development stack listen and keep their data."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from dotenv import load_dotenv

from dev.masking import masked

BASE_DIR = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
DEFAULT_PORTS = {
    "WEB_PORT": 8000,
    "FLOWER_PORT": 5555,
    "BROKER_PORT": 6390,
    "SMTP_PORT": 1025,
    "PARTNER_PORT": 8010,
    "POSTGRES_PORT": 5440,
}
OWN_DATABASES = ("sqlite", "postgres")


class StackError(Exception):
    """The stack cannot start; the message says what to do, in one sentence."""


@dataclass(frozen=True)
class Stack:
    """One running copy of the system.

    `ports` maps each name of DEFAULT_PORTS to a number; `redis_url` is where the broker is, and
    `own_broker` whether this stack starts it; `own_postgres` is whether it starts a PostgreSQL.
    """

    ports: dict[str, int]
    var_dir: Path
    redis_url: str
    own_broker: bool
    own_postgres: bool

    @classmethod
    def from_environment(cls) -> "Stack":
        """Read ports, VAR_DIR, REDIS_URL and DATABASE.

        Raises StackError for a value that cannot be used.
        """
        load_dotenv(BASE_DIR / ".env")
        ports = {name: read_port(name, default) for name, default in DEFAULT_PORTS.items()}
        refuse_equal(ports)
        redis_url = os.environ.get("REDIS_URL", "")
        return cls(
            ports=ports,
            var_dir=(BASE_DIR / (os.environ.get("VAR_DIR") or "var")).resolve(),
            redis_url=redis_url or f"redis://{HOST}:{ports['BROKER_PORT']}/0",
            own_broker=not redis_url,
            own_postgres=read_database() == "postgres",
        )

    def url(self, port_name: str) -> str:
        return f"http://{HOST}:{self.ports[port_name]}"

    def environment(self) -> dict[str, str]:
        """Return the variables that tell every part about this stack; those already set win."""
        defaults = {
            "DEBUG": "true",
            "OUTGOING_URL": self.url("PARTNER_PORT") + "/",
            "SITE_URL": self.url("WEB_PORT"),
            "EMAIL_HOST": HOST,
            "EMAIL_PORT": str(self.ports["SMTP_PORT"]),
            "FLOWER_URL": self.url("FLOWER_PORT"),
            # The mail server's own folder: what is there was accepted.
            "MAIL_ARCHIVE": str(self.var_dir / "mail"),
            # Room for the parts that stop after the web process, within 20 s for all.
            "DRAIN_TIMEOUT": "8",
        }
        fixed = {
            **{name: str(port) for name, port in self.ports.items()},
            "VAR_DIR": str(self.var_dir),
            "REDIS_URL": self.redis_url,
            "DATABASE": "",  # chosen: DATABASE_URL says it from here on
            "PYTHONUNBUFFERED": "1",
            "PATH": f"{BASE_DIR / '.venv' / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
        }
        given = {name: value for name, value in os.environ.items() if value}
        return defaults | given | fixed

    def servers(self) -> dict[str, int]:
        """Return the ports of the parts that the others need from their start on."""
        servers = {"broker": "BROKER_PORT", "postgres": "POSTGRES_PORT"}
        return {name: self.ports[port] for name, port in servers.items() if self.starts(name)}

    def starts(self, part: str) -> bool:
        """Tell whether this stack starts a part of the Procfile itself."""
        return {"broker": self.own_broker, "postgres": self.own_postgres}.get(part, True)

    def refuse_taken_ports(self) -> None:
        """Raise StackError if another program listens where a part of this stack would."""
        for name, port in self.ports.items():
            if not self.starts(name.removesuffix("_PORT").lower()):
                continue
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((HOST, port))
                except OSError as error:
                    raise StackError(
                        f"port {port} cannot be used ({error.strerror}):"
                        f" free it or choose another, as in 'make run {name}={port + 1}'."
                    ) from error


def read_port(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise StackError(f"{name} is {text!r}: it must be a whole number from 1 to 65535.")
    return int(text)


def read_database() -> str:
    database = os.environ.get("DATABASE") or ""
    if database and database not in OWN_DATABASES:
        raise StackError(
            f"DATABASE is {database!r}: it must be 'sqlite' or 'postgres', which need no server of"
            " yours; for any other database set DATABASE_URL."
        )
    if database and os.environ.get("DATABASE_URL"):
        raise StackError(
            f"DATABASE={database} starts a database of its own, and DATABASE_URL names another"
            f" ({masked(os.environ['DATABASE_URL'])}): set one of the two."
        )
    return database or "sqlite"


def listens(port: int) -> bool:
    """Tell whether a program listens on `port` of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def refuse_equal(ports: dict[str, int]) -> None:
    seen: dict[int, str] = {}
    for name, port in ports.items():
        if port in seen:
            raise StackError(f"{seen[port]} and {name} are both {port}: each part needs its own.")
        seen[port] = name
