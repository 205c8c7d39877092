"""Requests to the small schema of `tests.web.toy` over HTTP."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx

RESPONSE = "application/graphql-response+json"
JSON = "application/json"


async def post(http: httpx.AsyncClient, accept: str | None = JSON, **body: Any) -> httpx.Response:
    headers = {} if accept is None else {"Accept": accept}
    return await http.post("/graphql", json=body, headers=headers)


def code(response: httpx.Response) -> str:
    found = response.json()["errors"][0]["extensions"]["code"]
    assert isinstance(found, str)
    return found


async def persist(http: httpx.AsyncClient, query: str) -> str:
    """Store a document as clients do; its identifier."""
    digest = hashlib.sha256(query.encode()).hexdigest()
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
    await post(http, query=query, extensions=extensions)
    return f"sha256:{digest}"
