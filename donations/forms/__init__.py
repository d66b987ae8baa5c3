"""What people type about the supply; shape only, the rules are in rules.py, the services and the database."""
