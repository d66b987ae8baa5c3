"""Pages of coverage, split by noun."""
