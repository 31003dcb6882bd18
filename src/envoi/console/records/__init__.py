"""Lists and forms of any schema, drawn from the registry (ADR 0015)."""
