"""Small networks, compiled: an image in every lane of a vector."""

from caelab.networks.lanes.module import InLanes, in_lanes

__all__ = ["InLanes", "in_lanes"]
