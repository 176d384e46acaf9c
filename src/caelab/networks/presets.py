"""Presets: networks with a name."""

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
    "unet-narrow": (
        "unshuffle2 conv16:gelu [pool conv32:gelu (norm conv32:gelu conv32:none) "
        "[pool conv48:gelu (norm conv48:gelu conv48:none) context dropout0.1 up conv32:gelu] "
        "conv32:gelu up conv16:gelu] conv16:gelu conv8 shuffle2"
    ),
}
"""Name → text, for images of 32×32 pixels; all but ``dense64`` take other sizes too, multiples of 4
or 8. They return an RGB image, except the three for colorization, which return two channels
of chroma; ``adapt`` turns one kind into the other.

``reference``: nine layers, the code 16×8×8. ``strided``: strides and transposed convolutions, a
linear code of 12×8×8. ``dense64``: a linear code of 64 numbers. ``residual``: residual blocks and a
linear code of 12×8×8. ``unet``: skips run around the code. ``unet-color``: a U-Net for colorization
that starts at half the resolution, with residual brackets, and the mean of the whole image and
dropout at the bottom, 4×4; ``unet-small``: a narrower one; ``unet-narrow``: half as wide as that.
"""
