"""The page of error codes."""

from __future__ import annotations

import httpx

from errors import ErrorCode


async def test_every_code_has_its_place_on_the_page(client: httpx.AsyncClient) -> None:
    response = await client.get("/docs/errors")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    for code in ErrorCode:
        assert f'id="{code.value}"' in response.text
