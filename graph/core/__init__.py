"""Fields, context, selections, IDs, scalars, enums and errors."""
