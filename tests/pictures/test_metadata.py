"""What stands in a file beside its values is there again in the file of the result."""

import importlib.util
import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, TiffTags

from caelab.errors import InputError
from caelab.pictures.encode import encode, save
from caelab.pictures.metadata import ORIENTATION, Metadata, read_metadata
from caelab.pictures.picture import Picture
from caelab.pictures.read import read_pages, read_picture

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6" dc:title="old"/></x:xmpmeta>'
UPRIGHT_XMP = XMP.replace(b'"6"', b'"1"')
IPTC = b"\x1c\x02\x78\x00\x07caption"
"""A record of IPTC-IIM: the caption, of seven bytes."""


def saved(image: Image.Image, format_: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format_, **options)
    return stream.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def photoshop() -> bytes:
    resource = struct.pack(">HxxL", 0x0404, len(IPTC)) + IPTC + b"\0"
    return b"Photoshop 3.0\0" + b"8BIM" + resource


def jpeg(image: Image.Image, **options: object) -> bytes:
    extra = segment(0xED, photoshop()) + segment(0xFE, b"first") + segment(0xFE, b"second")
    return saved(image, "JPEG", dpi=(300, 200), xmp=XMP, extra=extra, **options)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("coding", [{"quality": 71, "progressive": True}, {"quality": 98}])
def test_a_jpeg_keeps_everything(
    mode: str, coding: dict[str, object], scene: np.ndarray, wide_profile: bytes
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION], exif[315] = 3, "somebody"
    image = Image.fromarray(scene).convert(mode)
    before = opened(jpeg(image, exif=exif, icc_profile=wide_profile, subsampling=2, **coding))
    content = before.fp.getvalue()  # type: ignore[union-attr]
    after = opened(encode(read_picture(content)))
    assert isinstance(before, JpegImagePlugin.JpegImageFile)
    assert isinstance(after, JpegImagePlugin.JpegImageFile)
    assert after.info["dpi"] == (300, 200)
    assert after.info["xmp"] == UPRIGHT_XMP
    assert after.info["photoshop"][0x0404] == IPTC
    comments = [data for name, data in after.applist if name == "COM"]
    assert comments == [b"first", b"second"]
    assert after.info["icc_profile"] == wide_profile
    assert after.getexif()[315] == "somebody"
    assert after.getexif()[ORIENTATION] == 1
    assert after.quantization == before.quantization
    assert bool(after.info.get("progressive")) is ("progressive" in coding)
    assert JpegImagePlugin.get_sampling(after) == JpegImagePlugin.get_sampling(before)


def test_colors_for_a_gray_jpeg_get_the_quality_of_its_brightness(scene: np.ndarray) -> None:
    gray = Image.fromarray(scene).convert("L")
    picture = read_picture(saved(gray, "JPEG", quality=40))
    colored = Picture(pixels=scene, format="JPEG", metadata=picture.metadata)
    after = opened(encode(colored))
    assert isinstance(after, JpegImagePlugin.JpegImageFile)
    before = opened(saved(gray, "JPEG", quality=40))
    assert after.quantization[0] == before.quantization[0]  # type: ignore[attr-defined]
    # Chroma has the full size, and no coarser steps.
    assert JpegImagePlugin.get_sampling(after) == 0
    assert all(table == after.quantization[0] for table in after.quantization.values())


def test_maker_notes_stay_where_they_were_and_the_thumbnail_goes(scene: np.ndarray) -> None:
    # A directory with orientation 6 and a maker note, and a second one, as of a thumbnail.
    note = bytes(range(40))
    first = struct.pack("<H", 2) + struct.pack("<HHLHH", ORIENTATION, 3, 1, 6, 0)
    first += struct.pack("<HHLL", 37500, 7, len(note), 8 + 2 + 24 + 4) + struct.pack("<L", 80)
    exif = b"II*\0" + struct.pack("<L", 8) + first + note
    exif = exif.ljust(80, b"\0") + struct.pack("<HHHLLL", 1, 513, 4, 1, 98, 0)
    picture = read_picture(saved(Image.fromarray(scene), "JPEG", exif=b"Exif\0\0" + exif))
    assert picture.size == (130, 90)
    kept = picture.metadata.exif.removeprefix(b"Exif\0\0")
    assert len(kept) == len(exif)
    changed = [place for place in range(len(exif)) if exif[place] != kept[place]]
    assert changed == [18, 34]  # the orientation, and where the second directory begins
    assert (kept[18], kept[34]) == (1, 0)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_png_keeps_everything(depth: type, wide_profile: bytes) -> None:
    chunks = [
        (b"gAMA", struct.pack(">L", 100000)),
        (b"tEXt", b"Author\0somebody"),
        (b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(IPTC)),
        (b"iTXt", b"Title\0\0\0de\0Titel\0" + "Bäume".encode()),
    ]
    info = PngImagePlugin.PngInfo()
    for name, data in [*chunks, (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + UPRIGHT_XMP)]:
        info.add(name, data)
    pixels = np.full((5, 4, 3), 77, depth)
    content = saved(
        Image.fromarray(pixels.astype(np.uint8)),
        "PNG",
        dpi=(300, 150),
        pnginfo=info,
        icc_profile=wide_profile,
    )
    picture = read_picture(content)
    result = encode(Picture(pixels=pixels, icc=picture.icc, metadata=picture.metadata))
    found = read_picture(result)
    assert (found.metadata, found.icc) == (picture.metadata, wide_profile)
    assert found.metadata.png_chunks == tuple(chunks)
    assert found.metadata.xmp == UPRIGHT_XMP
    for name in ("dpi", "gamma"):
        assert opened(result).info[name] == opened(content).info[name]
    assert opened(result).info["Title"] == "Bäume"


def tiff_page(size: tuple[int, int], name: str, **tags: object) -> dict[str, object]:
    extra = [(270, 2, 0, name, True), (700, 1, len(UPRIGHT_XMP), UPRIGHT_XMP, True)]
    extra += [(33723, 7, len(IPTC), IPTC, True)]
    data = np.random.default_rng(len(name)).integers(0, 256, (*size, 3)).astype(np.uint8)
    return {
        "data": data,
        "photometric": "rgb",
        "resolution": (118, 59),
        "resolutionunit": "CENTIMETER",
        "metadata": None,
        "extratags": extra,
        **tags,
    }


def test_a_tiff_keeps_everything_on_every_page() -> None:
    stream = io.BytesIO()
    pages = [tiff_page((9, 7), "one"), tiff_page((4, 5), "second"), tiff_page((6, 6), "the last")]
    pages[1]["data"] = np.asarray(pages[1]["data"]).astype(np.uint16) * 257
    reduced = tiff_page((2, 2), "thumbnail", subfiletype=1)
    with tifffile.TiffWriter(stream) as writer:
        for page in (pages[0], reduced, *pages[1:]):
            writer.write(**page)
    read = read_pages(stream.getvalue())
    content = encode(read)
    with tifffile.TiffFile(io.BytesIO(content)) as found:
        assert len(found.pages) == 3
        for page, kept in zip(pages, found.pages, strict=True):
            assert np.array_equal(kept.asarray(), page["data"])
            tags = {name: kept.tags[name].value for name in ("ImageDescription", 700, 33723)}
            assert tags["ImageDescription"] == page["extratags"][0][3]  # type: ignore[index]
            assert bytes(tags[700]) == UPRIGHT_XMP
            assert bytes(tags[33723]) == IPTC
            assert kept.tags["XResolution"].value == (118, 1)
            assert kept.tags["YResolution"].value == (59, 1)
            assert kept.tags["ResolutionUnit"].value == 3
    again = read_pages(content)
    assert [page.metadata for page in again] == [page.metadata for page in read]


def test_iptc_that_is_stored_as_numbers() -> None:
    block = IPTC + bytes(-len(IPTC) % 4)
    numbers = struct.unpack(f"<{len(block) // 4}L", block)
    stream = io.BytesIO()
    tags = [(33723, 4, len(numbers), numbers, True)]
    tifffile.imwrite(stream, np.zeros((4, 4), np.uint8), extratags=tags)
    assert read_picture(stream.getvalue()).metadata.iptc == block


def test_a_profile_that_is_a_number_is_left_out() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[34675] = 3
    tags[34675] = 7
    content = saved(Image.new("L", (4, 4), 9), "TIFF", tiffinfo=tags)
    picture = read_picture(content)
    assert picture.icc is None
    assert len(picture.notes) == 1
    assert (read_picture(encode(picture)).pixels == 9).all()


@pytest.mark.parametrize("lossless", [True, False])
def test_a_long_profile_does_not_hide_that_a_webp_is_lossless(
    lossless: bool, scene: np.ndarray
) -> None:
    profile = bytes(50_001)
    content = saved(Image.fromarray(scene), "WEBP", lossless=lossless, icc_profile=profile)
    picture = read_picture(content)
    assert picture.lossless is lossless
    result = read_picture(encode(picture))
    assert result.icc == profile
    assert np.array_equal(result.pixels, picture.pixels) is lossless


@pytest.mark.parametrize(("color_type", "channels"), [(0, 1), (2, 3)])
def test_sixteen_bits_with_a_transparent_color(color_type: int, channels: int) -> None:
    values = np.arange(6 * channels, dtype=np.uint16).reshape(2, 3, channels) * 257 + 5
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    stream = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    stream.seek(8)
    header = struct.pack(">IIBBBBB", 3, 2, 16, color_type, 0, 0, 0)
    for name, data in (
        (b"IHDR", header),
        (b"tRNS", values[1, 0].astype(">u2").tobytes()),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ):
        PngImagePlugin.putchunk(stream, name, data)
    picture = read_picture(stream.getvalue())
    assert np.array_equal(picture.pixels, values)
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[65535] * 3, [0, 65535, 65535]]
    again = read_picture(encode(picture))
    assert np.array_equal(again.pixels, values)
    assert np.array_equal(again.alpha, picture.alpha)  # type: ignore[arg-type]


@pytest.mark.parametrize("format_", ["GIF", "PNG", "WEBP", "AVIF"])
def test_an_animation_stays_one(format_: str, scene: np.ndarray) -> None:
    frames = [Image.fromarray(np.roll(scene, 20 * step, axis=1)) for step in range(3)]
    options = {"duration": [100, 200, 300], "lossless": True, "save_all": True}
    content = saved(frames[0], format_, append_images=frames[1:], loop=0, **options)
    pages = read_pages(content)
    again = read_pages(encode(pages))
    # A GIF has too few colors for a result, which is a PNG.
    assert again[0].format == ("PNG" if format_ == "GIF" else format_)
    assert [page.duration for page in again] == [100, 200, 300]
    assert again[0].plays == 0
    for page, other in zip(pages, again, strict=True):
        difference = np.abs(page.pixels.astype(int) - other.pixels)
        assert difference.mean() < (3 if format_ == "AVIF" else 1e-9)


def test_what_another_format_keeps(scene: np.ndarray, wide_profile: bytes) -> None:
    picture = read_picture(jpeg(Image.fromarray(scene), icc_profile=wide_profile))
    kept = {}
    for format_ in ("PNG", "TIFF", "WEBP", "BMP"):
        stream = io.BytesIO()
        notes = save(stream, [picture], format_, name="it")
        metadata, _, _ = read_metadata(opened(stream.getvalue()), stream.getvalue())
        kept[format_] = {
            name for name in ("xmp", "iptc", "comments", "resolution") if getattr(metadata, name)
        }
        assert bool(notes) is (len(kept[format_]) < 4)
    assert kept == {
        "PNG": {"xmp", "resolution"},
        "TIFF": {"xmp", "iptc", "resolution"},
        "WEBP": {"xmp"},
        "BMP": {"resolution"},
    }
    # The comments are texts of the PNG.
    stream = io.BytesIO()
    save(stream, [picture], "PNG", name="it")
    assert opened(stream.getvalue()).info["Comment"] == "second"


def test_colors_of_a_wide_profile_stay_where_the_format_holds_none(wide_profile: bytes) -> None:
    from caelab.pictures.color_profile import to_srgb

    pixels = np.full((4, 4, 3), (200, 90, 30), np.uint8)
    stream = io.BytesIO()
    save(stream, [Picture(pixels=pixels, icc=wide_profile)], "BMP", name="it")
    found = read_picture(stream.getvalue()).pixels
    assert np.array_equal(found, to_srgb(pixels, wide_profile))
    assert (found != pixels).any()


def boxed(name: bytes, content: bytes) -> bytes:
    return struct.pack(">L4s", 8 + len(content), name) + content


def test_a_jpeg_2000_keeps_exif_and_xmp(scene: np.ndarray) -> None:
    exif = Image.Exif()
    exif[ORIENTATION], exif[315] = 8, "somebody"
    content = saved(Image.fromarray(scene), "JPEG2000")
    content += boxed(b"uuid", b"JpgTiffExif->JP2" + exif.tobytes().removeprefix(b"Exif\0\0"))
    content += boxed(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + XMP)
    picture = read_picture(content)
    assert np.array_equal(picture.pixels, np.rot90(scene))
    again = read_picture(encode(picture))
    assert np.array_equal(again.pixels, picture.pixels)
    assert again.metadata == picture.metadata
    assert again.metadata.xmp == UPRIGHT_XMP
    kept = Image.Exif()
    kept.load(again.metadata.exif)
    assert dict(kept) == {ORIENTATION: 1, 315: "somebody"}


def test_the_xmp_and_the_comment_of_a_gif_are_kept() -> None:
    content = saved(Image.new("RGB", (4, 4)), "GIF", comment=b"by hand")
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    extension = b"\x21\xff\x0bXMP DataXMP" + UPRIGHT_XMP + trailer
    place = content.index(b"\x21\xfe")
    picture = read_picture(content[:place] + extension + content[place:])
    assert picture.metadata.xmp == UPRIGHT_XMP
    result = opened(encode(picture))
    assert result.info["xmp"] == UPRIGHT_XMP
    assert result.info["Comment"] == "by hand"


@pytest.mark.parametrize("format_", ["PNG", "WEBP", "AVIF"])
def test_an_animation_keeps_its_exif_without_a_prefix(format_: str, scene: np.ndarray) -> None:
    exif = Image.Exif()
    exif[315] = "somebody"
    frames = [Image.fromarray(scene), Image.fromarray(scene[::-1])]
    content = saved(
        frames[0], format_, save_all=True, append_images=frames[1:], exif=exif.tobytes()
    )
    result = encode(read_pages(content))
    assert opened(result).getexif()[315] == "somebody"
    assert b"Exif\0\0II" not in result.replace(b"Exif\0\0\0\0", b"")
    assert b"Exif\0\0MM" not in result


@pytest.mark.parametrize(("format_", "module"), [("HEIF", "pillow_heif"), ("JXL", "pillow_jxl")])
def test_formats_of_the_extra(format_: str, module: str, scene: np.ndarray) -> None:
    pytest.importorskip(module)
    exif = Image.Exif()
    exif[315] = "somebody"
    options = {"metadata": Metadata(exif=exif.tobytes(), xmp=UPRIGHT_XMP), "format": format_}
    content = encode(Picture(pixels=scene, **options))  # type: ignore[arg-type]
    picture = read_picture(content)
    assert picture.format == format_
    assert np.abs(picture.pixels.astype(int) - scene).mean() < 6
    again = read_picture(encode(picture))
    assert again.metadata.exif == picture.metadata.exif
    assert again.metadata.xmp == UPRIGHT_XMP
    with pytest.raises(InputError, match="larger than 11,698 pixels"):
        read_picture(content, max_pixels=90 * 130 - 2)


@pytest.mark.parametrize("content", [b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", b"\xff\x0a..."])
def test_without_the_extra_its_formats_say_what_they_need(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"install pillow-(heif|jxl-plugin): pip install"):
        read_picture(content)


def test_a_tag_of_another_type_costs_a_tiff_its_exif_alone() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[315] = 1.5
    tags.tagtype[315] = TiffTags.DOUBLE  # the artist's name is a text
    picture = read_picture(saved(Image.new("L", (3, 2), 7), "TIFF", tiffinfo=tags))
    assert (picture.pixels == 7).all()
    assert picture.metadata.exif == b""
