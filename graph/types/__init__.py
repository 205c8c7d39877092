"""The types of the schema, by area."""
