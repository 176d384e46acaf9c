"""What is written is what was read: values, transparency, depth, profile and EXIF, in the format
there was."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from caelab.errors import InputError
from caelab.pictures.encode import encode, save, write_picture
from caelab.pictures.metadata import KEPT_DIRECTORIES, Metadata
from caelab.pictures.picture import Picture
from caelab.pictures.read import read_picture


def random_picture(format_: str, channels: int, *, alpha: bool, depth: type) -> Picture:
    rng = np.random.default_rng(0)
    most = int(np.iinfo(depth).max)
    pixels = rng.integers(0, most + 1, (130, 7, channels)).astype(depth)
    return Picture(
        pixels=pixels,
        alpha=rng.integers(0, most + 1, (130, 7)).astype(depth) if alpha else None,
        format=format_,
    )


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_a_round_trip_loses_nothing(format_: str, channels: int, alpha: bool, depth: type) -> None:
    picture = random_picture(format_, channels, alpha=alpha, depth=depth)
    found = read_picture(encode(picture))
    if (format_, channels, alpha, depth) == ("TIFF", 1, True, np.uint16):
        assert found.pixels.shape[2] == 3  # which Pillow reads
        assert (found.pixels == picture.pixels).all()
    else:
        assert np.array_equal(found.pixels, picture.pixels)
    assert found.pixels.dtype == depth
    assert (found.alpha is None) == (not alpha)
    assert not alpha or np.array_equal(found.alpha, picture.alpha)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("format_", "channels", "alpha", "depth"),
    [
        ("BMP", 1, False, np.uint8),
        ("BMP", 3, False, np.uint8),
        ("PPM", 1, False, np.uint8),
        ("PPM", 3, False, np.uint8),
        ("PPM", 1, False, np.uint16),
        ("JPEG2000", 1, False, np.uint16),
        ("JPEG2000", 3, True, np.uint8),
        ("WEBP", 3, True, np.uint8),
    ],
)
def test_other_formats_lose_nothing_either(
    format_: str, channels: int, alpha: bool, depth: type
) -> None:
    picture = random_picture(format_, channels, alpha=alpha, depth=depth)
    found = read_picture(encode(picture))
    assert np.array_equal(found.pixels, picture.pixels)
    assert found.format == format_
    assert not alpha or np.array_equal(found.alpha, picture.alpha)  # type: ignore[arg-type]


def test_ppm_of_sixteen_bits_is_what_the_format_says() -> None:
    picture = random_picture("PPM", 3, alpha=False, depth=np.uint16)
    content = encode(picture)
    header = b"P6\n7 130\n65535\n"
    assert content.startswith(header)
    assert np.array_equal(
        np.frombuffer(content[len(header) :], ">u2").reshape(130, 7, 3), picture.pixels
    )


@pytest.mark.parametrize("format_", ["AVIF", "JPEG"])
def test_lossy_formats_come_near(format_: str, scene: np.ndarray) -> None:
    found = read_picture(encode(Picture(pixels=scene, format=format_)))
    assert np.abs(found.pixels.astype(int) - scene).mean() < 2.5
    assert found.format == format_


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_tiff_is_read_by_others(depth: type) -> None:
    picture = random_picture("TIFF", 3, alpha=True, depth=depth)
    pages = tifffile.TiffFile(io.BytesIO(encode(picture))).pages
    assert len(pages) == 1
    assert pages[0].shape == (130, 7, 4)
    assert pages[0].dtype == depth
    assert pages[0].tags["ExtraSamples"].value == (2,)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("format_", ["AVIF", "JPEG", "PNG", "TIFF", "WEBP"])
def test_profile_and_exif_are_kept(format_: str, depth: type, wide_profile: bytes) -> None:
    exif = Image.Exif()
    exif[315] = "somebody"
    exif.get_ifd(KEPT_DIRECTORIES[0])[37386] = 50.0  # focal length
    exif.get_ifd(KEPT_DIRECTORIES[1])[1] = "N"
    pixels = np.full((9, 8, 3), 77, depth)
    picture = Picture(
        pixels=pixels, format=format_, icc=wide_profile, metadata=Metadata(exif=exif.tobytes())
    )
    found = read_picture(encode(picture))
    assert found.icc == wide_profile
    kept = Image.Exif()
    kept.load(found.metadata.exif)
    assert kept[315] == "somebody"
    assert kept.get_ifd(KEPT_DIRECTORIES[0])[37386] == 50
    assert kept.get_ifd(KEPT_DIRECTORIES[1])[1] == "N"


@pytest.mark.parametrize(
    ("format_", "changes", "note"),
    [
        (
            "JPEG",
            {"alpha": np.zeros((4, 4), np.uint8)},
            "JPEG holds no transparency; the picture was put on white",
        ),
        (
            "JPEG",
            {"pixels": np.zeros((4, 4, 3), np.uint16)},
            "16 bits a channel were reduced to 8 for JPEG",
        ),
        (
            "JPEG2000",
            {"pixels": np.zeros((4, 4, 3), np.uint16)},
            "16 bits a channel were reduced to 8 for JPEG2000",
        ),
        (
            "BMP",
            {"alpha": np.zeros((4, 4), np.uint8)},
            "BMP holds no transparency; the picture was put on white",
        ),
        ("BMP", {"metadata": Metadata(exif=b"Exif\0\0")}, "BMP does not hold: EXIF"),
        (
            "JPEG",
            {"metadata": Metadata(exif=b"Exif\0\0" + bytes(70000))},
            "JPEG does not hold: EXIF",
        ),
    ],
)
def test_what_a_format_cannot_keep_is_said(
    format_: str, changes: dict[str, object], note: str
) -> None:
    picture = Picture(**{"pixels": np.zeros((4, 4, 3), np.uint8), **changes})  # type: ignore[arg-type]
    stream = io.BytesIO()
    assert save(stream, [picture], format_, name="it") == (note,)
    white = "transparency" in note
    assert (read_picture(stream.getvalue()).pixels == (255 if white else 0)).all()


def test_webp_is_lossless_where_it_was(scene: np.ndarray) -> None:
    for lossless in (True, False):
        stream = io.BytesIO()
        Image.fromarray(scene).save(stream, "WEBP", lossless=lossless)
        picture = read_picture(stream.getvalue())
        assert picture.lossless is lossless
        assert np.array_equal(read_picture(encode(picture)).pixels, picture.pixels) is lossless


def test_a_gif_becomes_a_png() -> None:
    picture = Picture(pixels=np.zeros((4, 4, 3), np.uint8), format="GIF")
    assert read_picture(encode(picture)).format == "PNG"


def test_nothing_is_overwritten_unless_it_is_asked_for(tmp_path: Path) -> None:
    picture = Picture(pixels=np.zeros((4, 4, 3), np.uint8))
    path = tmp_path / "new" / "a.png"
    assert write_picture(path, picture) == ()
    before = path.read_bytes()
    with pytest.raises(InputError, match="exists already; `force` overwrites"):
        write_picture(path, picture)
    assert path.read_bytes() == before
    write_picture(path, Picture(pixels=np.full((4, 4, 3), 9, np.uint8)), force=True)
    assert (read_picture(path).pixels == 9).all()
    dangling = tmp_path / "link.png"
    dangling.symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(InputError, match="exists already"):
        write_picture(dangling, picture)
    with pytest.raises(InputError, match="is a folder"):
        write_picture(tmp_path, picture, force=True)
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["a.png"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    long = Picture(pixels=np.zeros((70000, 1, 1), np.uint8))
    with pytest.raises(InputError, match=r"long\.jpg cannot be written as JPEG: "):
        write_picture(tmp_path / "long.jpg", long)
    for name in ("a.gif", "a.txt", "a"):
        with pytest.raises(
            InputError, match=r"has no suffix of a format that can be written: \.avif, \.bmp"
        ):
            write_picture(tmp_path / name, long)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        write_picture(tmp_path / "file" / "a.png", Picture(pixels=np.zeros((1, 1, 1), np.uint8)))
