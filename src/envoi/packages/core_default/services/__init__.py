"""What core_default can do."""
