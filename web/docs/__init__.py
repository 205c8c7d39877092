"""The documentation at `/docs`: the guide, the reference of the schema, and the error codes."""

from web.docs.routes import docs_routes

__all__ = ["docs_routes"]
