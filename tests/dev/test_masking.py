"""What of an address may be shown."""

import pytest

from dev.masking import masked


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgres://shop:s3cret@db:5432/shop", "postgres://shop:***@db:5432/shop"),
        ("redis://:s3cret@cache:6379/0", "redis://:***@cache:6379/0"),
        ("postgres://shop@db/shop", "postgres://shop@db/shop"),
        ("redis://127.0.0.1:6390/0", "redis://127.0.0.1:6390/0"),
        ("sqlite:////var/lib/db.sqlite3", "sqlite:////var/lib/db.sqlite3"),
        ("postgres://db/shop?user=a&password=s3cret", "postgres://db/shop?***"),
        ("rediss://:s3cret@cache/0?ssl_cert_reqs=none", "rediss://:***@cache/0?***"),
        # Characters that should have been escaped, and were not.
        ("postgres://shop:1/s3cret@db/shop", "postgres://shop:***@db/shop"),
        ("postgres://shop:1?s3cret@db/shop", "postgres://shop:***@db/shop"),
        ("postgres://shop:1@s3cret@db/shop", "postgres://shop:***@db/shop"),
        ("postgres://shop:1#s3cret@db/shop", "postgres://shop:***@db/shop"),
        ("postgres://shop:1\ns3cret@db/shop", "postgres://shop:***@db/shop"),
        ("sentinel://:s3cret@a:1;sentinel://:s3cret@b:2/0", "sentinel://:***@b:2/0"),
        ("", ""),
    ],
)
def test_no_password_is_left(url: str, shown: str) -> None:
    assert masked(url) == shown
