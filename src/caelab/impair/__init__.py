"""Impairments: a word → what the network is given instead of the clean image.

Everything here but ``apply`` does without torch; import that from ``caelab.impair.apply``.
"""

from caelab.impair.keys import image_keys
from caelab.impair.language import IMPAIRMENTS, Impairment, Step, parse_impairment

__all__ = ["IMPAIRMENTS", "Impairment", "Step", "image_keys", "parse_impairment"]
