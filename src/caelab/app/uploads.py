"""Uploaded files: largest size, saving, and pictures of them that the page can show."""

from pathlib import Path

from PIL import Image
from starlette.datastructures import UploadFile

from caelab.memory import max_memory
from caelab.pictures.picture import Picture
from caelab.pictures.read import PIXEL_BYTES, PIXEL_LIMIT

LIMITS = ", or raise `max_pixels` and `max_memory`"
"""Advice in messages about large pictures."""


def max_pixels() -> int:
    """Return the largest number of pixels that a picture may have, so that it fits into memory."""
    return min(PIXEL_LIMIT, max_memory() // PIXEL_BYTES)


def save(upload: UploadFile, path: Path) -> None:
    """Write an uploaded file piece by piece, so that memory never contains the whole file.

    Args:
        upload: Uploaded file.
        path: Path to write it to.
    """
    with path.open("wb") as file:
        while piece := upload.file.read(2**20):
            file.write(piece)


def preview(picture: Picture, side: int) -> Image.Image:
    """Return a picture as 8-bit RGB, reduced if it is large.

    Args:
        picture: The picture.
        side: Longest side of the result in pixels.
    """
    image = picture.to_pillow().convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def for_page(message: str, file: Path) -> str:
    """Remove from a message the folder of a file, and options that the page does not have."""
    return message.replace(f"{file.parent}/", "").replace(LIMITS, "")
