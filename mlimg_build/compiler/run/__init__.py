"""What workers do, and what becomes of it."""
