"""From a request to an answer: documents, limits, cost, scopes, execution."""
