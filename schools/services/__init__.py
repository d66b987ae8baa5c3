"""What happens in schools: offices, roles, students, lists; one module per noun."""
