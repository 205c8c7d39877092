"""Who can read the schema: by introspection, as a file, and in the reference at `/docs`."""

from __future__ import annotations

from auth.viewer import Viewer
from errors import ErrorCode, Failure
from graph.request.documents import Operation
from settings import Introspection


class SchemaVisibility:
    """The setting `TASKLOOM_INTROSPECTION`. `docs_url`: the address where it is documented."""

    def __init__(self, introspection: Introspection, docs_url: str) -> None:
        self._introspection = introspection
        self._docs_url = docs_url

    def check(self, operation: Operation) -> None:
        """Raise `Failure` if it asks about the schema and nobody may read that, not even an
        operation that the server runs for itself.
        """
        if operation.reads_schema and self._introspection == "off":
            raise self.hidden()

    def shows(self, viewer: Viewer) -> bool:
        """Whether this viewer can read it."""
        if self._introspection == "signed-in":
            return viewer.signed_in
        return self._introspection == "public"

    def hidden(self) -> Failure:
        """The error for those who cannot."""
        extra = {"docsUrl": self._docs_url}
        if self._introspection == "off":
            message = "This server does not allow introspection (TASKLOOM_INTROSPECTION=off)."
            return Failure(message, code=ErrorCode.FORBIDDEN, extra=extra)
        message = (
            "Only signed-in users can read the schema (TASKLOOM_INTROSPECTION=signed-in). Send an "
            "access token or an API key."
        )
        return Failure(message, code=ErrorCode.UNAUTHENTICATED, extra=extra)
