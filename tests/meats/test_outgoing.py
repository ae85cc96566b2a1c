"""The shared HTTP client."""

from meats.outgoing import http_client, shared_client


async def test_one_client_serves_the_servers_loop() -> None:
    async with shared_client() as opened:
        async with http_client() as first, http_client() as second:
            assert first is second is opened
        assert not opened.is_closed
    assert opened.is_closed


async def test_elsewhere_each_block_has_its_own() -> None:
    async with http_client() as first, http_client() as second:
        assert first is not second
    assert first.is_closed
    assert second.is_closed
