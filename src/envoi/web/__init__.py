"""REST root, SOAP router, health and metrics."""
