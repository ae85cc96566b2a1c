"""Checks of a deployment: manage.py check --deploy."""

from typing import Any

from django.conf import settings
from django.core import checks


@checks.register(checks.Tags.security, deploy=True)
def check_forwarded_allow_ips(**_kwargs: Any) -> list[checks.CheckMessage]:
    """Warn where any client may say which address it comes from."""
    if "*" not in map(str.strip, settings.FORWARDED_ALLOW_IPS):
        return []
    return [
        checks.Warning(
            "FORWARDED_ALLOW_IPS is *: every client can choose, by X-Forwarded-For, the address"
            " by which its posts, logins and streams are counted.",
            hint="Name the proxy's address, or its network; * is right only if nothing else than"
            " the proxy can reach the server, and the proxy overwrites the header.",
            id="smokehouse.W001",
        )
    ]
