"""Put pictures where people look, with an expiry."""
