"""A fictional company: for a first start, for tests, and in bulk for benchmarks."""
