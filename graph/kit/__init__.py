"""What types are declared with: loading, pages, filters, orderings, mutations."""
