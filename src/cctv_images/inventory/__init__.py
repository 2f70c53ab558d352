"""Where cameras come from, and what changed since last time."""
