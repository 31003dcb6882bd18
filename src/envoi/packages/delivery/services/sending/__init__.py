"""From a message to the wire: SMTP, routes, limits, signatures, and a journal of what became of each."""
