"""The camera zoo: every make, every fault, on one loopback."""
