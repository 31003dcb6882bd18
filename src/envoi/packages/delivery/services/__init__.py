"""What delivery can do."""
