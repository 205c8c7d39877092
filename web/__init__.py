"""The ASGI routes: GraphQL over HTTP, event streams and WebSockets, and what stands beside it."""
