"""Pages of schools: offices, the audit trail, lists; one module per noun."""
