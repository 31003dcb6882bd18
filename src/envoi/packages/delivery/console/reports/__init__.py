"""Reports on deliveries: figures, charts and tables, each with its definition one click away."""
