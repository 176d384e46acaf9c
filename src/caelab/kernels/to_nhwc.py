"""Images as the C sources read them."""

from torch import Tensor


def in_rows(images: Tensor) -> Tensor:
    """Return images ``(N, C, H, W)`` as ``(N, H, W, C)``, one number after the other in memory."""
    return images.permute(0, 2, 3, 1).contiguous()
