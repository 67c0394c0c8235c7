"""One connection, one transaction, one request."""
