"""What a person typed on the pages of schools; one module per noun."""
