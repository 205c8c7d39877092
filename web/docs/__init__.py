"""The documentation at `/docs`: the guide, the reference of the schema, and the error codes."""

from web.docs.routes import SCHEMA_DOCS, docs_routes

__all__ = ["SCHEMA_DOCS", "docs_routes"]
