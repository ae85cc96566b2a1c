"""What the outbox asks of a MySQL or MariaDB server, its table and the connection.

Which versions are too old Django says itself, when it connects: MariaDB before 10.6 (which lacks
SKIP LOCKED) and MySQL before 8.0.11.
"""

from collections.abc import Iterable
from typing import Any

from django.core import checks

from hybrid_tasks.outbox.packets import MIB
from hybrid_tasks.outbox.table import model

ISOLATION = "READ-COMMITTED"
STRICT = {"STRICT_TRANS_TABLES", "STRICT_ALL_TABLES"}


def check(connection: Any, least_packet: int) -> Iterable[checks.CheckMessage]:
    """Yield an error for each thing that would break a promise; asks the server.

    `least_packet` is how many bytes a statement must be able to take.
    """
    where = f"The outbox is in the database {connection.alias!r}"
    if connection.timezone_name != "UTC":
        yield checks.Error(
            f"{where}, whose TIME_ZONE is {connection.timezone_name!r}: leases are set in UTC.",
            hint=f"Leave TIME_ZONE out of DATABASES[{connection.alias!r}].",
            id="hybrid_tasks.E030",
        )
    variable = "tx_isolation" if connection.mysql_is_mariadb else "transaction_isolation"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT @@{variable}, @@sql_mode, @@max_allowed_packet")
        isolation, modes, packet = cursor.fetchone()
        cursor.execute(
            "SELECT engine, table_collation FROM information_schema.tables"
            " WHERE table_schema = DATABASE() AND table_name = %s",
            [model()._meta.db_table],
        )
        table = cursor.fetchone()
    if isolation != ISOLATION:
        yield checks.Error(
            f"{where}, whose transactions are {isolation}: who claims a task could read what was"
            " true before another had it.",
            hint="Leave 'isolation_level' out of OPTIONS: Django's default is 'read committed'.",
            id="hybrid_tasks.E031",
        )
    if STRICT.isdisjoint(modes.split(",")):
        yield checks.Error(
            f"{where}, whose sql_mode {modes!r} is not strict: what is too long for a column would"
            " be cut without a word.",
            hint="Add STRICT_TRANS_TABLES to sql_mode, as servers have it by default.",
            id="hybrid_tasks.E032",
        )
    if packet < least_packet:
        yield checks.Error(
            f"{where}, whose max_allowed_packet is {packet / MIB:g} MiB: the largest tasks that"
            f" 'max_bytes' allows need {least_packet / MIB:g} MiB.",
            hint="Raise max_allowed_packet on the server, or lower the option 'max_bytes'.",
            id="hybrid_tasks.E033",
        )
    if table is not None:
        yield from check_table(where, *table)


def check_table(where: str, engine: str, collation: str) -> Iterable[checks.CheckMessage]:
    """Yield an error if the table has lost what its migration gave it."""
    name = model()._meta.db_table
    if engine != "InnoDB":
        yield checks.Error(
            f"{where}, and its table is {engine}: without transactions and locks of rows a task"
            " could be lost, or run twice.",
            hint=f"ALTER TABLE {name} ENGINE = InnoDB",
            id="hybrid_tasks.E034",
        )
    if not collation.startswith("utf8mb4_"):
        yield checks.Error(
            f"{where}, and its table is {collation}: it cannot hold every character of a task's"
            " arguments.",
            hint=f"ALTER TABLE {name} CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            id="hybrid_tasks.E035",
        )
