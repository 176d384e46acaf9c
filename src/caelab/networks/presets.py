"""Networks with a name."""

import difflib
import re

from caelab.networks.ast import KINDS, NetworkError

PRESETS = {
    "reference": "conv8 pool conv12 pool conv16 | up conv12 up conv3",
    "strided": "conv16k4s2 conv32k4s2 conv12k1:none | conv32 deconv16k4s2 deconv3k4s2",
    "dense64": "conv32k4s2 conv64k4s2 dense64:none | dense64h8w8 up conv32 up conv3",
    "residual": (
        "unshuffle4 conv96 2*(conv96:gelu conv96:none) conv12k1:none | "
        "conv96 2*(conv96:gelu conv96:none) conv48 shuffle4"
    ),
    "unet": "conv32 [pool conv64 [pool conv128 | conv128 up] conv64 up] conv32 conv3",
    "unet-color": (
        "unshuffle2 conv48:gelu [pool conv96:gelu (norm conv96:gelu conv96:none) "
        "[pool conv160:gelu 2*(norm conv160:gelu conv160:none) context dropout0.2 up conv96:gelu] "
        "conv96:gelu up conv48:gelu] conv48:gelu conv8 shuffle2"
    ),
    "unet-small": (
        "unshuffle2 conv32:gelu [pool conv64:gelu (norm conv64:gelu conv64:none) "
        "[pool conv96:gelu (norm conv96:gelu conv96:none) context dropout0.1 up conv64:gelu] "
        "conv64:gelu up conv32:gelu] conv32:gelu conv8 shuffle2"
    ),
}
"""Name → text, for images of 32×32 pixels; all but ``dense64`` take other sizes too, multiples of 4
or 8. They give an RGB image, but for the two that are made for colorization, whose two channels are
chroma; ``adapt`` makes either the other.

``reference``: nine layers, the code 16×8×8. ``strided``: strides and transposed convolutions, a
linear code of 12×8×8. ``dense64``: a linear code of 64 numbers. ``residual``: residual blocks and a
linear code of 12×8×8. ``unet``: skips run around the code. ``unet-color``: a U-Net for colorization
that starts at half the resolution, with residual brackets, and the mean of the whole image and
dropout at the bottom, 4×4; ``unet-small``: a narrower one.
"""


def resolve(text_or_name: str) -> str:
    """The text of the preset of that name, or the text itself.

    Raises:
        NetworkError: It is one word, neither a preset nor a layer.
    """
    word = text_or_name.strip()
    if word in PRESETS:
        return PRESETS[word]
    if re.fullmatch("[A-Za-z-]+", word) and word not in KINDS:
        close = difflib.get_close_matches(word.lower(), [*PRESETS, *KINDS], n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise NetworkError(
            f"no network is called '{word[:40]}'",
            text=word,
            span=(0, len(word)),
            expected=f"Expected a network's text, or a preset: {', '.join(PRESETS)}.{hint}",
        )
    return text_or_name
