"""The camera zoo: every make, every fault, on one loopback. `simulate` is the command; `server.Zoo` the rest."""

from cctv_images.simulate.command import simulate

__all__ = ["simulate"]
