"""A made-up company to look at: for a first start, for tests, and in bulk for benches."""
