"""The GraphQL API: the only place that knows GraphQL. One file a noun, and the shared machinery."""
