"""Around the stages: how is it going? Log, page, metrics, control socket, heartbeat."""
