"""Pictures of every kind come out as people expect to see them."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from caelab.data import folder as folder_module
from caelab.data.folder import read_picture
from caelab.data.load import load_images
from caelab.data.split import split_images
from caelab.errors import InputError
from caelab.pictures.formats import SUFFIX_FORMATS


def pixel(path: Path) -> list[int]:
    """The color of a picture of one color."""
    image = read_picture(path, size=(8, 8))
    assert image.shape == (3, 8, 8)
    assert image.dtype == np.uint8
    assert (image == image[:, :1, :1]).all()
    color: list[int] = image[:, 0, 0].tolist()
    return color


@pytest.mark.parametrize(
    ("mode", "color", "suffix", "expected"),
    [
        ("RGB", (10, 200, 30), "png", [10, 200, 30]),
        ("RGB", (10, 200, 30), "bmp", [10, 200, 30]),
        ("RGB", (10, 200, 30), "tiff", [10, 200, 30]),
        ("RGB", (10, 200, 30), "ppm", [10, 200, 30]),
        ("L", 77, "png", [77, 77, 77]),
        ("1", 1, "png", [255, 255, 255]),
        ("I;16", 65535, "png", [255, 255, 255]),
        ("I;16", 257 * 100, "png", [100, 100, 100]),
        ("I;16", 300, "png", [1, 1, 1]),
        ("I;16", 257 * 100, "tiff", [100, 100, 100]),
        ("I", 257 * 100, "tiff", [100, 100, 100]),
        ("F", 0.5, "tiff", [128, 128, 128]),
        ("F", 200.0, "tiff", [200, 200, 200]),
        ("RGBA", (255, 0, 0, 255), "png", [255, 0, 0]),
        ("RGBA", (255, 0, 0, 0), "png", [255, 255, 255]),
        ("RGBA", (0, 0, 0, 51), "png", [204, 204, 204]),
        ("LA", (0, 51), "png", [204, 204, 204]),
        ("CMYK", (0, 0, 0, 0), "tiff", [255, 255, 255]),
        ("CMYK", (0, 255, 255, 0), "tiff", [255, 0, 0]),
        ("CMYK", (0, 0, 0, 255), "tiff", [0, 0, 0]),
    ],
)
def test_modes(mode: str, color: object, suffix: str, expected: list[int], tmp_path: Path) -> None:
    path = tmp_path / f"picture.{suffix}"
    Image.new(mode, (20, 12), color).save(path)  # type: ignore[arg-type]
    assert pixel(path) == expected


@pytest.mark.parametrize(
    ("mode", "color", "expected"), [("CMYK", (0, 255, 255, 0), [254, 0, 0]), ("L", 77, [77] * 3)]
)
def test_jpeg_modes(mode: str, color: object, expected: list[int], tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    Image.new(mode, (64, 64), color).save(path, quality=95)  # type: ignore[arg-type]
    assert np.abs(np.subtract(pixel(path), expected)).max() <= 2


def test_palette_with_and_without_transparency(tmp_path: Path) -> None:
    palette = Image.new("P", (16, 16), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    palette.save(tmp_path / "opaque.png")
    palette.save(tmp_path / "clear.png", transparency=1)
    palette.save(tmp_path / "opaque.gif")
    assert pixel(tmp_path / "opaque.png") == [10, 200, 30]
    assert pixel(tmp_path / "clear.png") == [255, 255, 255]
    assert pixel(tmp_path / "opaque.gif") == [10, 200, 30]


def png(width: int, height: int, bits: int, kind: int, rows: bytes) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def test_sixteen_bits_a_channel(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    row = b"\0" + struct.pack(">HHH", 257 * 10, 257 * 200, 257 * 30) * 8
    path.write_bytes(png(8, 8, 16, 2, row * 8))
    assert pixel(path) == [10, 200, 30]


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert pixel(tmp_path / "moving.gif") == [255, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int, tmp_path: Path) -> None:
    upright = np.zeros((16, 16, 3), np.uint8)
    upright[:8, :8] = (255, 0, 0)
    upright[:8, 8:] = (0, 255, 0)
    # What a camera in that position would have stored: the inverse of what a viewer does.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(
        read_picture(tmp_path / "turned.png", size=(16, 16)).transpose(1, 2, 0), upright
    )


@pytest.mark.parametrize("shape", [(16, 48), (48, 16)])
def test_the_center_is_kept(shape: tuple[int, int], tmp_path: Path) -> None:
    pixels = np.zeros((*shape, 3), np.uint8)
    middle = (slice(None), slice(16, 32)) if shape[1] > shape[0] else (slice(16, 32), slice(None))
    pixels[middle] = np.random.default_rng(0).integers(0, 256, (16, 16, 3))
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    assert np.array_equal(
        read_picture(tmp_path / "wide.png", size=(16, 16)).transpose(1, 2, 0), pixels[middle]
    )


def test_resizing_keeps_the_mean_and_does_not_alias(tmp_path: Path) -> None:
    checkers = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)
    Image.fromarray(checkers).save(tmp_path / "checkers.png")
    image = read_picture(tmp_path / "checkers.png", size=(32, 32))
    assert np.abs(image.astype(int) - 127.5).max() <= 2


def make_folder(folder: Path, names: list[str]) -> None:
    for index, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (10, 10), (index, index, index)).save(folder / name)


def test_class_folders(tmp_path: Path) -> None:
    make_folder(
        tmp_path,
        ["dog/b.png", "cat/2.png", "cat/deep/1.PNG", "dog/a.jpeg", ".hidden/x.png", "dog/.x.png"],
    )
    (tmp_path / "dog" / "notes.txt").write_text("no picture")
    images = load_images(tmp_path, size=12)
    assert images.classes == ("cat", "dog")
    assert images.labels is not None
    assert images.labels.tolist() == [0, 0, 1, 1]
    assert images.images[:, 0, 0, 0].tolist() == [
        1,
        2,
        3,
        0,
    ]  # sorted: files of a folder before its folders
    assert images.images.shape == (4, 3, 12, 12)
    assert (images.source.name, images.source.where, images.source.note) == (
        "folder",
        str(tmp_path),
        "",
    )
    assert (images.part, images.official_test) == (None, None)


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["a.png", "b.png"], ()),
        (["only/a.png", "only/b.png"], ()),
        (["cat/a.png", "dog/a.png", "b.png"], ()),
        (["train/cat/a.png", "train/dog/a.png", "test/cat/b.png"], ("cat", "dog")),
        (["train/a.png", "test/b.png"], ()),
    ],
    ids=str,
)
def test_what_counts_as_classes(names: list[str], classes: tuple[str, ...], tmp_path: Path) -> None:
    make_folder(tmp_path, names)
    images = load_images(tmp_path)
    assert images.classes == classes
    assert (images.labels is None) == (not classes)


def test_parts_that_a_folder_has_are_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # The 30 pictures for training come first, then those of the test set.
    train = [f"train/{name}/{index:02}.png" for name in ("cat", "dog") for index in range(15)]
    test = [f"test/{name}/{index}.png" for name in ("cat", "dog") for index in range(3)]
    make_folder(tmp_path, train + test)
    images = load_images(tmp_path)
    gray = images.images[:, 0, 0, 0]
    split = split_images(images)
    assert sorted(gray[split.test]) == list(range(30, 36))
    assert (len(split.train), len(split.validation)) == (27, 3)
    official = split_images(images, mode="official")
    assert np.array_equal(official.test, split.test)
    assert images.classes == ("cat", "dog")
    assert images.source.own_test
    assert "6 images, is kept apart" in caplog.text
    # The same pictures without parts are other data, whose runs have other names.
    pooled = tmp_path / "pooled"
    for index, image in enumerate(images.images):
        place = pooled / images.classes[images.labels[index]] / f"{index:02}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(place)
    assert load_images(pooled).source.fingerprint != images.source.fingerprint


def test_a_validation_folder_is_kept_and_a_lone_test_folder_is_a_name(tmp_path: Path) -> None:
    make_folder(tmp_path / "both", [f"Train/{index:02}.png" for index in range(20)])
    make_folder(tmp_path / "both", [f"valid/{index:02}.png" for index in range(4)])
    images = load_images(tmp_path / "both")
    split = split_images(images)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [18, 4, 2]
    assert not images.source.own_test
    make_folder(tmp_path / "one", [f"test/{index:02}.png" for index in range(20)])
    assert load_images(tmp_path / "one").part is None


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_gray_images_on_demand(mode: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    color = {"L": 77, "RGB": (255, 0, 0), "I;16": 257 * 77}[mode]
    Image.new(mode, (20, 10), color).save(tmp_path / "a.png")  # type: ignore[arg-type]
    images = load_images(tmp_path, size=8, channels=1).images
    # Red has a luma of 0.299.
    assert images.shape == (1, 1, 8, 8)
    assert (images == (76 if mode == "RGB" else 77)).all()
    with pytest.raises(InputError, match=r"`data.channels` 2"):
        load_images(tmp_path, channels=2)
    assert not caplog.records
    load_images(tmp_path)
    assert ("are gray" in caplog.text) == (mode != "RGB")


@pytest.mark.parametrize("shape", [(96, 48), (48, 96), (100, 50)])
def test_images_that_are_no_squares(shape: tuple[int, int], tmp_path: Path) -> None:
    # Cut to 1:2 at the center: of a tall picture a band, of a wide one everything.
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = load_images(tmp_path, size=(shape[1] // 2, shape[1])).images[0].transpose(1, 2, 0)
    top = (shape[0] - shape[1] // 2) // 2
    assert np.array_equal(image, pixels[top : top + shape[1] // 2])


def test_the_fingerprint_is_of_the_data_not_of_the_place(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        make_folder(tmp_path / name, ["cat/a.png", "dog/b.png"])
    (tmp_path / "three" / "cat" / "a.png").rename(tmp_path / "three" / "dog" / "a.png")
    make_folder(tmp_path / "three", ["cat/c.png"])
    one, two, three = (
        load_images(tmp_path / name).source.fingerprint for name in ("one", "two", "three")
    )
    assert one == two != three


def test_loops_of_links_end(tmp_path: Path) -> None:
    make_folder(tmp_path, ["a/1.png", "b/2.png"])
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b" / "self.png").symlink_to(tmp_path / "b" / "self.png")
    assert len(load_images(tmp_path).images) == 2


def test_broken_pictures_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_folder(tmp_path, [f"{index:02}.png" for index in range(20)])
    whole = (tmp_path / "07.png").read_bytes()
    (tmp_path / "07.png").write_bytes(whole[: len(whole) // 2])
    images = load_images(tmp_path)
    assert images.images[:, 0, 0, 0].tolist() == [*range(7), *range(8, 20)]
    assert "1 of 20 pictures" in images.source.note
    assert "(07.png)" in images.source.note
    assert caplog.messages[0] == images.source.note


def test_a_method_that_pillow_lacks_breaks_no_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder(tmp_path, ["a.png", "b.png"])
    monkeypatch.delattr(Image.Image, "has_transparency_data")
    with pytest.raises(AttributeError):
        load_images(tmp_path)


def test_too_many_broken_pictures(tmp_path: Path) -> None:
    make_folder(tmp_path, ["a.png", "b.png", "c.png"])
    (tmp_path / "b.png").write_bytes(b"")
    with pytest.raises(
        InputError, match=r"1 of 3 pictures cannot be read \(b\.png\)\. Remove them\."
    ):
        load_images(tmp_path)


def test_pictures_of_other_formats_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.heic", "b.HEIC", "c.dng", "notes.txt"):
        (tmp_path / name).write_bytes(b"any")
    with pytest.raises(InputError, match=r"1 \.dng, 2 \.heic"):
        load_images(tmp_path)
    Image.new("RGB", (8, 8), "red").save(tmp_path / "d.png")
    assert len(load_images(tmp_path).images) == 1
    assert "1 .dng, 2 .heic" in caplog.text
    assert "txt" not in caplog.text


def test_every_suffix_of_the_formats_is_read(tmp_path: Path) -> None:
    """``colorize`` and ``--data`` find the same files in a folder, except those of extras."""
    read = {
        suffix
        for suffix, format_ in SUFFIX_FORMATS.items()
        if format_.name in folder_module.FORMATS
    }
    assert read == folder_module.SUFFIXES
    for number, suffix in enumerate(sorted(read)):
        with (tmp_path / f"{number}{suffix}").open("wb") as stream:
            Image.new("L", (8, 8), 10 * number).save(stream, SUFFIX_FORMATS[suffix].name)
    assert len(load_images(tmp_path).images) == len(read)


def test_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    with pytest.raises(InputError, match="holds neither pictures"):
        load_images(tmp_path)


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path, [f"{index:02}.png" for index in range(20)])
    (tmp_path / "bomb.png").write_bytes(png(60_000, 60_000, 8, 2, b""))
    (tmp_path / "large.png").write_bytes(png(11_000, 10_000, 8, 2, b""))
    images = load_images(tmp_path)
    assert "2 of 22 pictures" in images.source.note
    monkeypatch.setattr(folder_module, "PIXEL_LIMIT", 99)
    with pytest.raises(ValueError, match="too large"):
        read_picture(tmp_path / "00.png", size=(8, 8))


def test_postscript_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    )
    with pytest.raises(InputError, match="1 of 1 pictures cannot be read"):
        load_images(tmp_path)


def test_more_images_than_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAELAB_MAX_MEMORY", "20K")
    make_folder(tmp_path, ["a.png", "b.png"])
    assert len(load_images(tmp_path, size=32).images) == 2
    with pytest.raises(InputError, match="Choose a smaller size"):
        load_images(tmp_path, size=64)
