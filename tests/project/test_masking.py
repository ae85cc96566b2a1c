"""Nothing that the log says opens a page."""

import logging
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from django.core.signing import Signer
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.converters import IntConverter

from project.masking import MaskingFormatter, masked
from tests.browser.test_pages import database
from tests.conftest import StartWeb
from tests.meats.smokehouse import Smokehouse

UUID_TEXT = "3f2c6a52-9f2b-4d0e-a54e-0f6f4f3f7b11"
SIGNED = Signer(salt="any").sign("17")


@pytest.mark.parametrize(
    ("said", "written"),
    [
        (f'"GET /orders/{UUID_TEXT}/events/ HTTP/1.1"', '"GET /orders/***/events/ HTTP/1.1"'),
        (f"/reports/own/{SIGNED}/", "/reports/own/***/"),
        (f"Not Found: /orders//{UUID_TEXT}", "Not Found: /orders//***"),
        (f"/admin/login/?next=/orders/{UUID_TEXT}/", "/admin/login/?next=/orders/***/"),
        (f"/?next=%2Forders%2F{UUID_TEXT}%2Fevents", "/?next=%2Forders%2F***%2Fevents"),
        (f"/admin/meats/order/?q={UUID_TEXT}&o=1", "/admin/meats/order/?q=***&o=1"),
        (f"No space: '/var/receipts/{UUID_TEXT}.txt'", "No space: '/var/receipts/***'"),
        ('"POST /orders/ HTTP/1.1" 302', '"POST /orders/ HTTP/1.1" 302'),
        ("/reports/runs/2026-10/", "/reports/runs/2026-10/"),
    ],
)  # fmt: skip
def test_keys_are_masked_and_nothing_else(said: str, written: str) -> None:
    assert masked(said) == written


def test_a_traceback_is_masked_too() -> None:
    error = FileNotFoundError(2, "No such file", f"/var/receipts/{UUID_TEXT}.txt")
    info = (type(error), error, None)
    record = logging.LogRecord("a", logging.ERROR, "", 1, "It failed", None, info)
    line = MaskingFormatter().format(record)
    assert "FileNotFoundError" in line
    assert UUID_TEXT not in line


def addresses(resolver: URLResolver, prefix: str = "/") -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the route and the converters of each address but the admin's, which need a login."""
    for pattern in resolver.url_patterns:
        path = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLPattern):
            yield path, pattern.pattern.converters
        elif pattern.app_name != "admin":
            yield from addresses(pattern, path)


def test_every_address_with_a_key_is_known() -> None:
    """A new address has its key masked, or is named here as one without."""
    harmless = {"period"}
    keys = 0
    for path, converters in addresses(get_resolver()):
        for name, converter in converters.items():
            if name in harmless or isinstance(converter, IntConverter):
                continue
            keys += 1
            before, _, after = path.partition(f":{name}>")
            filled = f"{before.rpartition('<')[0]}{SIGNED}{after}"
            assert SIGNED not in masked(filled), path
    assert keys >= 6


def test_the_log_of_a_real_server_holds_no_key(tmp_path: Path) -> None:
    smokehouse = Smokehouse(tmp_path)
    try:
        smokehouse.mail.start()
        smokehouse.partner.start()
        web = smokehouse.start_web()
        visitor = smokehouse.visitor()
        path = visitor.order()
        uuid = path.split("/")[2]
        assert UUID(uuid)
        *_, last = visitor.events(path)
        task_id = last["tasks"]["smoke"]["id"]
        asked = [path, f"{path}events/", f"{path}nothing/", path.rstrip("/"), f"/tasks/{task_id}/",
                 f"/unsubscribe/{SIGNED}/", f"/reports/own/{SIGNED}/",
                 f"/admin/login/?next={path}", f"//orders/{uuid}/"]  # fmt: skip
        for address in asked:
            visitor.http.get(smokehouse.url + address, headers={"Referer": smokehouse.url + path})
        visitor.http.post(smokehouse.url + path)  # 405, of which Django writes a line, too
        assert len(web.lines('"GET /orders/***/ HTTP')) >= 1
        assert len(web.lines("Not Found: /orders/***/nothing/")) == 1
        for line in web.output().splitlines():
            assert uuid not in line
            assert SIGNED not in line
            assert task_id not in line or "path=meats.tasks." in line
            assert SIGNED.replace(":", "%3A") not in line
    finally:
        smokehouse.close()


def test_no_page_tells_others_where_its_visitor_was(start_web: StartWeb, tmp_path: Path) -> None:
    url, _ = start_web(**database(tmp_path))
    assert httpx.get(url).headers["Referrer-Policy"] == "strict-origin"
