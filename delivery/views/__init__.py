"""Pages of delivery, split by noun."""
