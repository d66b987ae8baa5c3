"""Pages of donors, of the warehouse and of money."""
