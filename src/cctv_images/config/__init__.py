"""What settings.py rests on: where values come from, how each is read, what must hold between them."""
