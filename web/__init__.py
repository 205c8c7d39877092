"""The ASGI routes: GraphQL over HTTP, event streams and WebSockets, and the routes beside it."""
