"""Pictures as data URLs, which a page shows without another request."""

import io
from base64 import b64encode

from PIL import Image


def data_url(content: bytes, kind: str) -> str:
    """Return the content of a picture file as a URL.

    Args:
        content: Bytes of the file.
        kind: Subtype of its media type, such as ``"png"`` or ``"svg+xml"``.
    """
    return f"data:image/{kind};base64,{b64encode(content).decode()}"


def png_url(image: Image.Image) -> str:
    """Return a PNG of an image as a URL."""
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return data_url(stream.getvalue(), "png")


def enlarge(image: Image.Image, factor: int) -> Image.Image:
    """Return an image in which each pixel became a square of ``factor`` × ``factor`` pixels."""
    size = (image.width * factor, image.height * factor)
    return image.resize(size, Image.Resampling.NEAREST)
