"""Presets: networks that a name stands for."""

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
"""Name → text of the network.

All networks take images of 32×32 pixels. All except ``dense64`` also take other sizes, if the sides
are multiples of 8. The networks ``unet-…`` are for colorization and return two channels of chroma;
the others return an RGB image. ``adapt`` changes the number of output channels.

- ``reference``: nine layers and a code of 16×8×8.
- ``strided``: strides and transposed convolutions, and a linear code of 12×8×8.
- ``dense64``: a linear code of 64 numbers.
- ``residual``: residual blocks and a linear code of 12×8×8.
- ``unet``: a U-Net, in which skip connections run around the code.
- ``unet-color``: a U-Net with residual blocks that begins at half the resolution. At its lowest
  resolution, 4×4, it uses the mean of the whole image (``context``) and dropout.
- ``unet-small``: a narrower ``unet-color``.
- ``unet-narrow``: half as wide as ``unet-small``.
"""
