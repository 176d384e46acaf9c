"""Impairments: a word → what the network is given instead of the clean image.

Everything here but ``apply`` does without torch; import that from ``caelab.degrade.apply``.
"""

from caelab.degrade.image_keys import image_keys
from caelab.degrade.parser import IMPAIRMENTS, Impairment, Step, parse_impairment

__all__ = ["IMPAIRMENTS", "Impairment", "Step", "image_keys", "parse_impairment"]
