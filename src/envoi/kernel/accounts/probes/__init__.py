"""One file for each family of servers: how an account on it is tried."""
