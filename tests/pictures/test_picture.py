"""Pictures of every kind are read as people see them, with what lies beside the values."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL
import pytest
import tifffile
from PIL import Image, ImageOps

from caelab.errors import InputError, printable
from caelab.pictures.metadata import ORIENTATION
from caelab.pictures.picture import Picture, to_planes
from caelab.pictures.read import read_pages, read_picture


def saved(image: Image.Image, format_: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format_, **options)
    return stream.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def png(width: int, height: int, bits: int, kind: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("mode", "color", "format_", "expected"),
    [
        ("RGB", (10, 200, 30), "PNG", [10, 200, 30]),
        ("RGB", (10, 200, 30), "BMP", [10, 200, 30]),
        ("RGB", (10, 200, 30), "TIFF", [10, 200, 30]),
        ("RGB", (10, 200, 30), "PPM", [10, 200, 30]),
        ("RGB", (10, 200, 30), "JPEG2000", [10, 200, 30]),
        ("L", 77, "PNG", [77]),
        ("1", 1, "PNG", [255]),
        ("I;16", 300, "PNG", [300]),
        ("I;16", 300, "TIFF", [300]),
        ("I;16", 300, "JPEG2000", [300]),
        ("I", 300, "PPM", [300]),
        ("I", 300, "TIFF", [300]),
        ("I", 70000, "TIFF", [65535]),
        ("F", 0.5, "TIFF", [32768]),
        ("F", 200.0, "TIFF", [51400]),
        ("CMYK", (0, 255, 255, 0), "TIFF", [255, 0, 0]),
        pytest.param(
            *("YCbCr", (128, 128, 128), "TIFF", [128, 128, 128]),
            marks=pytest.mark.skipif(
                int(PIL.__version__.split(".")[0]) < 13,
                reason="before version 13, Pillow did not read such a TIFF that it had written",
            ),
        ),
    ],
)
def test_modes(mode: str, color: object, format_: str, expected: list[int]) -> None:
    picture = read_picture(saved(Image.new(mode, (5, 3), color), format_))  # type: ignore[arg-type]
    assert picture.size == (3, 5)
    assert picture.format == format_
    assert picture.alpha is None
    assert picture.pixels.dtype == (np.uint16 if mode[0] in "IF" else np.uint8)
    assert (picture.pixels == expected).all()
    assert picture.pixels.shape[2] == len(expected)


@pytest.mark.parametrize(
    ("mode", "color", "format_", "expected", "alpha"),
    [
        ("RGBA", (10, 20, 30, 40), "PNG", [10, 20, 30], 40),
        ("RGBA", (10, 20, 30, 40), "TIFF", [10, 20, 30], 40),
        ("RGBA", (10, 20, 30, 40), "WEBP", [10, 20, 30], 40),
        ("LA", (10, 40), "PNG", [10], 40),
    ],
)
def test_alpha(
    mode: str, color: tuple[int, ...], format_: str, expected: list[int], alpha: int
) -> None:
    options = {"lossless": True, "exact": True} if format_ == "WEBP" else {}
    picture = read_picture(saved(Image.new(mode, (5, 3), color), format_, **options))
    assert (picture.pixels == expected).all()
    assert picture.alpha is not None
    assert (picture.alpha == alpha).all()


def test_palettes_become_rgb_with_their_transparency() -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    opaque, clear = (
        read_picture(saved(palette, "PNG")),
        read_picture(saved(palette, "PNG", transparency=1)),
    )
    assert (opaque.pixels == [10, 200, 30]).all()
    assert opaque.alpha is None
    assert clear.alpha is not None
    assert (clear.alpha == 0).all()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_of_sixteen_bits_keeps_all_of_them(channels: int) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (5, 7, channels)).astype(np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    picture = read_picture(png(7, 5, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], rows))
    found = picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])
    assert np.array_equal(found, values)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_tiff_of_sixteen_bits_keeps_all_of_them(
    byteorder: str, compression: str | None, channels: int
) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (5, 7, channels)).astype(np.uint16)
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        values[..., 0] if channels == 1 else values,
        photometric="minisblack" if channels == 1 else "rgb",
        extrasamples=["unassalpha"] if channels == 4 else None,
        byteorder=byteorder,
        compression=compression,
    )
    picture = read_picture(stream.getvalue())
    found = picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])
    assert np.array_equal(found, values)


def test_tiff_of_sixteen_bits_in_tiles_that_do_not_divide_the_sides() -> None:
    values = np.random.default_rng(0).integers(0, 65536, (37, 50, 3)).astype(np.uint16)
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, photometric="rgb", tile=(16, 32))
    assert np.array_equal(read_picture(stream.getvalue()).pixels, values)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["PNG", "TIFF", "AVIF"])
def test_it_is_turned_as_its_exif_says(format_: str, orientation: int, scene: np.ndarray) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[315] = "somebody"
    content = saved(Image.fromarray(scene), format_, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    picture = read_picture(content)
    assert np.array_equal(picture.pixels, np.asarray(upright))
    assert np.abs(np.asarray(upright).astype(int).mean() - scene.mean()) < 1
    assert (picture.size == (90, 130)) is (orientation < 5)
    kept = Image.Exif()
    kept.load(picture.metadata.exif)
    assert kept[315] == "somebody"
    assert kept.get(ORIENTATION, 1) == 1


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_tiff_of_sixteen_bits_is_turned_too(compression: str | None, scene: np.ndarray) -> None:
    values = scene.astype(np.uint16) * 257
    stream = io.BytesIO()
    tifffile.imwrite(
        stream, values, photometric="rgb", compression=compression, extratags=[(274, 3, 1, 6, True)]
    )
    assert np.array_equal(read_picture(stream.getvalue()).pixels, np.rot90(values, -1))


def test_the_profile_is_kept_and_cmyk_leaves_it_for_srgb(wide_profile: bytes) -> None:
    assert (
        read_picture(saved(Image.new("RGB", (4, 4)), "JPEG", icc_profile=wide_profile)).icc
        == wide_profile
    )
    picture = read_picture(
        saved(Image.new("CMYK", (4, 4), (0, 0, 0, 255)), "JPEG", icc_profile=wide_profile)
    )
    assert picture.icc is None
    assert picture.notes == ("CMYK without a usable profile was converted to RGB",)


def test_a_profile_that_does_not_fit_the_values_is_not_converted(
    wide_profile: bytes, linear_gray_profile: bytes
) -> None:
    colors = np.zeros((2, 3, 3), np.uint8)
    assert Picture(pixels=colors, icc=wide_profile).wide_profile is not None
    for icc in (linear_gray_profile, b"damaged"):
        assert Picture(pixels=colors, icc=icc).wide_profile is None
    assert Picture(pixels=colors[..., :1], icc=wide_profile).wide_profile is None


@pytest.mark.parametrize("format_", ["GIF", "PNG", "TIFF", "WEBP"])
def test_every_page_and_frame_is_read(format_: str) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "green", "blue")]
    options: dict[str, object] = {"lossless": True} if format_ == "WEBP" else {}
    if format_ != "TIFF":
        options |= {"duration": [100, 200, 300], "loop": 2}
    content = saved(frames[0], format_, save_all=True, append_images=frames[1:], **options)
    pages = read_pages(content)
    assert [page.pixels[0, 0].tolist() for page in pages] == [
        list(frame.getpixel((0, 0))) for frame in frames
    ]
    if format_ == "TIFF":
        assert {page.duration for page in pages} == {None}
    else:
        assert [page.duration for page in pages] == [100, 200, 300]
        # A GIF counts how often it is played again.
        assert pages[0].plays == (3 if format_ == "GIF" else 2)
    first = read_picture(content)
    assert (first.pixels == [255, 0, 0]).all()
    assert len(first.notes) == 1


def test_a_picture_of_a_telephone_with_a_second_one_inside_is_a_jpeg() -> None:
    two = [Image.new("RGB", (8, 8), color) for color in ("red", "green")]
    picture = read_picture(saved(two[0], "MPO", save_all=True, append_images=two[1:]))
    assert (picture.format, picture.notes) == ("JPEG", ())


@pytest.mark.parametrize("size", [(1, 1), (7, 5001), (5001, 7)])
def test_sizes_as_they_come(size: tuple[int, int]) -> None:
    assert read_picture(saved(Image.new("L", size, 9), "PNG")).size == size[::-1]


def test_damaged_exif_does_not_cost_the_picture() -> None:
    picture = read_picture(
        saved(Image.new("RGB", (8, 8)), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff broken")
    )
    assert picture.size == (8, 8)
    large = Image.Exif()
    large[270] = "x" * 60000
    picture = read_picture(saved(Image.new("RGB", (8, 8)), "JPEG", exif=large))
    assert len(picture.metadata.exif) > 60000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty (0 bytes)."),
        (
            b"no picture at all",
            "it is not a picture that can be read (AVIF, BMP, GIF, JPEG, JPEG2000, PNG, PPM, ",
        ),
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            "it is not a picture that can be read",
        ),
        (
            png(60000, 60000, 8, 2, b""),
            "it claims to be larger than 178,956,970 pixels, the limit. Reduce it",
        ),
        (png(13000, 13700, 8, 2, b"")[:99], "it cannot be read: "),
    ],
)
def test_what_is_no_picture_is_refused_plainly(content: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_picture(content, name="it")
    assert str(caught.value).startswith(message)


def test_the_limit_counts_pixels_of_all_pages() -> None:
    image = Image.new("L", (30, 20))
    content = saved(image, "TIFF", save_all=True, append_images=[image, image])
    assert len(read_pages(content, max_pixels=1800)) == 3
    for one, limit in ((saved(image, "PNG"), 598), (content, 1798)):
        with pytest.raises(InputError, match=rf"it claims to be larger than {limit:,} pixels"):
            read_pages(one, name="it", max_pixels=limit)


@pytest.mark.parametrize("format_", ["AVIF", "BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP"])
def test_what_was_cut_off_is_refused(format_: str, scene: np.ndarray) -> None:
    content = saved(Image.fromarray(scene), format_)
    with pytest.raises(
        InputError, match=r"^cut\.file (cannot be read: .*damaged|is not a picture)"
    ):
        read_picture(content[: len(content) // 2], name="cut.file")


def test_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.png cannot be read: No such file"):
        read_picture(tmp_path / "missing.png")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_picture(tmp_path)
    odd = tmp_path / os.fsdecode(b"a\nb\x1b[31m \xff \xe2\x82\xac.png")
    odd.write_bytes(b"nothing")
    with pytest.raises(InputError) as caught:
        read_picture(odd)
    assert r"a\nb\x1b[31m \udcff €.png is not a picture" in str(caught.value)
    assert str(caught.value).isprintable()
    assert printable("plain name.png") == "plain name.png"


def test_values_and_reduced_views(scene: np.ndarray) -> None:
    eight = Picture(pixels=scene)
    sixteen = Picture(pixels=scene.astype(np.uint16) * 257)
    assert (eight.most, sixteen.most) == (255, 65535)
    np.testing.assert_allclose(to_planes(eight.pixels), np.moveaxis(scene, -1, 0) / 255, atol=1e-7)
    np.testing.assert_allclose(
        to_planes(sixteen.pixels), np.moveaxis(scene, -1, 0) / 255, atol=1e-7
    )
    for picture in (eight, sixteen):
        assert np.array_equal(picture.reduced((90, 130), Image.Resampling.BOX), scene)
        halved = scene.reshape(45, 2, 65, 2, 3).mean((1, 3))
        assert np.abs(picture.reduced((45, 65), Image.Resampling.BOX) - halved).max() <= 1


@pytest.mark.parametrize(
    "place", ["GifImagePlugin.GifImageFile.load_end", "Image.Image.has_transparency_data"]
)
def test_an_assertion_of_pillow_is_damage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    Image.new("P", (3, 3)).save(tmp_path / "a.gif")

    def fails(*_: object) -> None:
        raise AssertionError

    # A property fails when it is read, and a method when it is called.
    monkeypatch.setattr(f"PIL.{place}", property(fails))
    with pytest.raises(InputError):
        read_pages((tmp_path / "a.gif").read_bytes(), name="a.gif")
