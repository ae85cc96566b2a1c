"""How the settings read the environment."""

from typing import Any

from environs import FileAwareEnv, ValidationError
from limits import parse


class Environment(FileAwareEnv):
    """Reads variables, NAME from the file that NAME_FILE names, and a .env file below both.

    A variable that is set but empty counts as not set: compose files and .env files that leave a
    choice open set it so.
    """

    def __init__(self) -> None:
        super().__init__(strip_whitespace=True)

    def _get_value(self, env_key: str, default: Any) -> Any:
        value = super()._get_value(env_key, default)
        return default if value == "" else value


def check_rate(rate: str) -> None:
    """Raise ValidationError unless `limits` can read a rate."""
    try:
        parse(rate)
    except ValueError:
        raise ValidationError(f"{rate!r} is no rate: write it as 30/minute or 2/hour.") from None
