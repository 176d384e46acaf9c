"""Mutated picture files through the whole way of a picture.

Run as ``PYTHONPATH=tests/attacks python tests/pictures/fuzzing.py COUNT SEED``.

The process limits its own memory, so that a file which asks for too much is an error here and not
the machine's. It prints a JSON document; a crash, or a call that does not return, are the parent's
to notice.
"""

import io
import json
import random
import resource
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from mutation import change_bytes
from PIL import Image, ImageCms

from caelab.errors import InputError
from caelab.pictures.backends.base import Geometry, PictureModel
from caelab.pictures.colorize import colorize
from caelab.pictures.encode import encode
from caelab.pictures.picture import Picture
from caelab.pictures.read import read_pages

MEMORY = 3 * 2**30
SECONDS = 10
PIXEL_LIMIT = 2**22


def seeds(rng: np.random.Generator) -> list[bytes]:
    """Small valid files of every format and many modes."""
    y, x = np.mgrid[0:24, 0:31]
    rgb = np.stack([8 * x, 10 * y, 5 * (x + y)], -1).clip(0, 255).astype(np.uint8)
    rgb[5:9] = rng.integers(0, 256, (4, 31, 3))
    color, gray = Image.fromarray(rgb), Image.fromarray(rgb[..., 0])
    deep = Image.fromarray(rgb[..., 0].astype(np.uint16) * 200)
    alpha = Image.merge("RGBA", (*color.split(), gray))
    exif = Image.Exif()
    exif[0x0112], exif[315] = 6, "somebody"
    exif.get_ifd(34665)[37386] = 50.0
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found: list[bytes] = []

    def add(image: Image.Image, format_: str, **options: object) -> None:
        stream = io.BytesIO()
        image.save(stream, format_, **options)
        found.append(stream.getvalue())

    for format_ in ("BMP", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP", "AVIF", "GIF"):
        add(color, format_)
        add(gray, format_)
    for format_ in ("PNG", "TIFF", "WEBP", "JPEG2000"):
        add(alpha, format_)
    for format_ in ("PNG", "TIFF", "JPEG2000"):
        add(deep, format_)
    for format_ in ("JPEG", "PNG", "TIFF", "WEBP"):
        add(color, format_, exif=exif, icc_profile=icc)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group4"):
        add(
            gray.convert("1") if compression == "group4" else color, "TIFF", compression=compression
        )
    add(color.convert("P"), "PNG", transparency=3)
    add(color, "JPEG", progressive=True)
    add(color.convert("CMYK"), "JPEG")
    add(color.convert("CMYK"), "TIFF")
    add(gray.convert("F"), "TIFF")
    add(gray.convert("I"), "TIFF")
    add(color, "GIF", save_all=True, append_images=[gray, color])
    wide = np.dstack([rgb, rgb[..., :1]]).astype(np.uint16) * 257
    deep_color = Picture(pixels=wide[..., :3])
    found += [encode(replace(deep_color, format=format_)) for format_ in ("PNG", "TIFF", "PPM")]
    deep_alpha = Picture(pixels=wide[..., :3], alpha=wide[..., 3], icc=icc)
    found += [encode(replace(deep_alpha, format=format_)) for format_ in ("PNG", "TIFF")]
    return found


def mutations(count: int, seed: int) -> Iterator[bytes]:
    """Files with bytes flipped, overwritten, cut out, doubled, put in from another, or cut off."""
    originals = seeds(np.random.default_rng(seed))
    rng = random.Random(seed)
    for _ in range(count):
        yield change_bytes(rng, originals)


def main(count: int, seed: int) -> None:
    """Do ``count`` files and print what came of them."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    def late(*_: object) -> None:
        raise AssertionError(f"more than {SECONDS} s")

    signal.signal(signal.SIGALRM, late)
    model = PictureModel(
        function=lambda images: np.concatenate([images - 0.5, 0.5 - images], axis=1),
        channels=1,
        geometry=Geometry(multiple=4),
        color_space="ycbcr",
    )
    for original in seeds(np.random.default_rng(seed)):
        assert read_pages(original)[0].size in ((24, 31), (31, 24))
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    for number, content in enumerate(mutations(count, seed)):
        sys.stderr.write(f"{number}\n")  # the last line tells which file a crash is of
        sys.stderr.flush()
        signal.alarm(SECONDS)
        try:
            results = colorize(model, read_pages(content, max_pixels=PIXEL_LIMIT), threads=1)
            again = read_pages(encode(results))
            assert again[0].size == results[0].size
            outcomes["read"] += 1
        except InputError:
            outcomes["refused"] += 1
        except BaseException as error:
            failures.append(f"{number}: {type(error).__name__} {error}")
        signal.alarm(0)
    # Not getrusage: its peak is inherited from the process that started this one.
    told = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = int(told["VmHWM"].removesuffix("kB")) * 1024
    json.dump({**outcomes, "failures": failures, "peak": peak}, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
