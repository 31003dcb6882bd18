"""Activity types of the package, one file a type."""
