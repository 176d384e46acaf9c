"""Files that users send: how they are saved, how large they may be, and how they are shown."""

from pathlib import Path

from PIL import Image
from starlette.datastructures import UploadFile

from caelab.memory import max_memory
from caelab.pictures.picture import Picture
from caelab.pictures.read import PIXEL_BYTES, PIXEL_LIMIT


def max_pixels() -> int:
    """Return the largest number of pixels of a file that the memory allows."""
    return min(PIXEL_LIMIT, max_memory() // PIXEL_BYTES)


def save(upload: UploadFile, path: Path) -> None:
    """Write an uploaded file piece by piece, so that it is never in memory as a whole.

    Args:
        upload: The file of a form.
        path: Where to write it.
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


def without_folder(message: str, file: Path) -> str:
    """Return a message without the server's folder, which says nothing to a user of the page."""
    return message.replace(f"{file.parent}/", "")
