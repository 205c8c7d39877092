"""The files of exports over HTTP: `GET /exports/{id}`, by a signed address.

The address is valid for as long as the file exists, a day. The signature proves that the owner
received it; whether they could still make the same export, and whether the file still exists, is
checked at each request.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Uuid, bindparam, select
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from auth import access
from db import models
from db.models import ExportFormat, ExportState
from db.statements import Plan, Statement
from domain.time.export import KEPT
from errors import BadInput, Failure, Forbidden, NotFound
from files.store import ORIGINAL
from graph.core import ids
from graph.request.answer import refusal
from web.runtime import Runtime

_EXPORT: Final = Statement(
    select(
        models.ReportExport.file_id,
        models.ReportExport.format,
        models.ReportExport.byte_size,
        models.ReportExport.expires_at,
        models.ReportExport.created_at,
    ).where(
        models.ReportExport.id == bindparam("export_id", type_=Uuid()),
        models.ReportExport.status == ExportState.DONE,
        models.ReportExport.file_id.is_not(None),
        access.could_export_again(),
    ),
    plan=Plan.ONCE,
)
_TYPES: Final = {
    ExportFormat.CSV: ("csv", "text/csv; charset=utf-8; header=present"),
    ExportFormat.JSON: ("json", "application/json"),
    ExportFormat.PDF: ("pdf", "application/pdf"),
}


def export_routes(runtime: Runtime) -> list[BaseRoute]:
    """The route for the application."""

    async def fetch(request: Request) -> Response:
        """`GET /exports/{id}?expires=…&signature=…`."""
        try:
            found = await _found(runtime, request)
            chunks = await runtime.services.files.store.read(found.file_id, ORIGINAL)
        except Failure as failure:
            status = 403 if isinstance(failure, Forbidden) else 404
            status = status if isinstance(failure, (Forbidden, NotFound)) else 503
            body = refusal(failure, request.scope["taskloom.request"].id).body()
            headers = {"Cache-Control": "no-store"}
            return Response(body, status, media_type="application/json", headers=headers)
        ending, media_type = _TYPES[ExportFormat(found.format)]
        name = f"time-{found.created_at:%Y-%m-%d}.{ending}"
        return StreamingResponse(
            chunks,
            media_type=media_type,
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "Content-Length": str(found.byte_size),
                "Cache-Control": "private, no-cache",
                "Content-Security-Policy": "default-src 'none'; sandbox",
            },
        )

    return [Route("/exports/{id}", fetch, methods=["GET"])]


async def _found(runtime: Runtime, request: Request) -> Any:
    """The export whose file is requested. Raises `Forbidden` or `NotFound`."""
    services = runtime.services
    genuine = services.files.links.allows(
        "GET",
        request.url.path,
        request.query_params.get("expires", ""),
        request.query_params.get("signature", ""),
        services.clock(),
        lifetime=KEPT,
    )
    if not genuine:
        raise Forbidden("This address is no longer valid; request a new one.")
    try:
        export_id = ids.decode_only(models.ReportExport, request.path_params["id"], ())
    except BadInput:
        raise NotFound("file") from None
    rows = await services.database.all_rows.fetch(_EXPORT, {"export_id": export_id})
    if not rows or rows[0].expires_at <= services.clock():
        raise NotFound("file")
    return rows[0]
