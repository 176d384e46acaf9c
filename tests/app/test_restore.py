"""The view "Restore", from the upload to the files."""

import html
import io
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

import caelab
from caelab.pictures.colorize import colorize
from caelab.pictures.open_model import open_model
from caelab.pictures.read import read_picture

from .conftest import png

Finished = Callable[[str], dict[str, Any]]


def send(client: Any, *files: tuple[str, bytes], **fields: str) -> Any:
    uploads = [("pictures", file) for file in files]
    data = {"task": "colorize", **fields}
    return client.post("/restore", data=data, files=uploads, follow_redirects=False)


def sent(client: Any, *files: tuple[str, bytes], **fields: str) -> str:
    """Send pictures, and return the address of their results without the form's settings."""
    location: str = send(client, *files, **fields).headers["location"]
    return location.partition("?")[0]


def test_a_picture_is_colored_as_by_the_python_interface(client: Any, finished: Finished) -> None:
    url = sent(client, ("a.png", png()))
    assert finished(url)["state"] == "done"
    made = np.asarray(Image.open(io.BytesIO(client.get(f"{url}/0/result").content)))
    given = Image.open(io.BytesIO(png()))
    np.testing.assert_array_equal(made, np.asarray(caelab.load("colorize").restore(given)))


def test_one_bad_file_does_not_stop_the_others(client: Any, finished: Finished) -> None:
    files = [
        ("good.png", png()),
        ("empty.png", b""),
        ("text.jpg", b"no picture"),
        ("good.png", png()),
    ]
    url = sent(client, *files)
    assert finished(url) | {"state": "done", "done": 4, "total": 4} == finished(url)
    page = client.get(url).text
    assert page.count('role="alert"') == 2
    archive = zipfile.ZipFile(io.BytesIO(client.get(f"{url}/all.zip").content))
    assert archive.namelist() == ["good.png", "good-2.png"]
    assert client.get(f"{url}/1/result").status_code == 404


@pytest.mark.parametrize(
    "name",
    ["../../up.png", "C:\\x\\up.png", "<script>alert(1)</script>.png", "🎨 *[a].png", "a" * 300],
)
def test_names_are_only_names(client: Any, finished: Finished, name: str) -> None:
    url = sent(client, (name, png()))
    assert finished(url)["state"] == "done"
    page = client.get(url).text
    assert "<script>alert" not in page
    assert ".." not in page
    assert client.get(f"{url}/0/result").status_code == 200


def test_errors_are_measured_where_the_truth_is_known(client: Any, finished: Finished) -> None:
    url = sent(client, ("a.png", png()), compared="on")
    finished(url)
    assert "CIEDE2000" in client.get(url).text


def result_of(client: Any, url: str, number: int = 0) -> Image.Image:
    return Image.open(io.BytesIO(client.get(f"{url}/{number}/result").content))


def test_the_strength_is_that_of_the_python_interface(client: Any, finished: Finished) -> None:
    given = Image.open(io.BytesIO(png()))
    model = caelab.load("denoise")
    for fields, strength in (({"auto": "on"}, "auto"), ({"strength": "0.5"}, 0.5), ({}, 1)):
        url = sent(client, ("a.png", png()), task="denoise", **fields)
        assert finished(url)["state"] == "done"
        expected = np.asarray(model.restore(given, strength=strength))
        np.testing.assert_array_equal(np.asarray(result_of(client, url)), expected)


def test_results_of_a_picture_stand_side_by_side(client: Any, finished: Finished) -> None:
    url = sent(client, ("a.png", png()), ("b.png", png(seed=1)), saturation="0.5, 2")
    assert finished(url)["total"] == 4
    page = client.get(url).text
    assert page.count("<section") == 2
    assert page.count("data-slider") == 4
    given = Image.open(io.BytesIO(png(seed=1)))
    expected = caelab.load("colorize").restore(given, saturation=2)
    np.testing.assert_array_equal(np.asarray(result_of(client, url, 3)), np.asarray(expected))


def test_several_colorings_of_a_model_that_has_them(client: Any, finished: Finished) -> None:
    model = run_for(client, "colorize", "conv4-conv9")
    url = sent(client, ("a.png", png()), model=model, variants="2")
    finished(url)
    variant = open_model(model).variant(1, 0)
    (expected,) = colorize(variant, [read_picture(png())])
    np.testing.assert_array_equal(np.asarray(result_of(client, url, 1)), expected.pixels)
    assert (np.asarray(result_of(client, url, 0)) != expected.pixels).any()


def run_for(client: Any, task: str, name: str) -> str:
    page = client.get(f"/restore?task={task}").text
    (run,) = [part.split('"')[0] for part in page.split('<option value="') if name in part]
    return run


def test_holes_are_filled_where_the_mask_is_white(client: Any, finished: Finished) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[4:9, 10:14] = 255
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, "PNG")
    picture = Image.open(io.BytesIO(png()))
    exif = picture.getexif()
    exif[0x010E] = "a description"
    saved = io.BytesIO()
    picture.save(saved, "TIFF", exif=exif)
    files = [
        ("pictures", ("a.tif", saved.getvalue())),
        ("pictures", ("b.png", png(30, 30))),
        ("mask", ("m.png", stream.getvalue())),
    ]
    data = {"task": "fill", "model": run_for(client, "fill", "conv4-conv3")}
    answer = client.post("/restore", data=data, files=files, follow_redirects=False)
    url = answer.headers["location"].partition("?")[0]
    finished(url)
    made = result_of(client, url)
    assert made.getexif()[0x010E] == "a description"
    changed = (np.asarray(made) != np.asarray(picture)).any(axis=2)
    holes = mask.repeat(2, 0).repeat(2, 1) > 0
    assert changed[holes].mean() > 0.9
    assert not changed[~holes].any()
    page = client.get(url).text
    assert page.count('role="alert"') == 1  # the second picture has another shape than the mask
    for wrong in (b"", b"no picture", png(4, 4).replace(b"IDAT", b"XXXX")):
        files[-1] = ("mask", ("m.png", wrong))
        assert client.post("/restore", data=data, files=files).status_code == 400


def test_files_that_are_no_usual_pictures(client: Any, finished: Finished) -> None:
    """A header that claims 60,000×60,000 pixels, and an animation."""
    claims = png()[:16] + (60000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    claims += zlib.crc32(claims[12:]).to_bytes(4, "big") + png()[33:]
    frames = [Image.open(io.BytesIO(png(seed=seed))) for seed in range(3)]
    stream = io.BytesIO()
    frames[0].save(stream, "WEBP", save_all=True, append_images=frames[1:], duration=50)
    url = sent(client, ("large.png", claims), ("moving.webp", stream.getvalue()))
    assert finished(url)["state"] == "done"
    page = client.get(url).text
    assert page.count('role="alert"') == 1
    assert "/tmp" not in page
    assert "max_pixels" not in page
    assert result_of(client, url, 1).n_frames == 3


def test_an_address_says_that_its_pictures_are_gone(client: Any, finished: Finished) -> None:
    """As after a restart; the settings of the form are still known."""
    location = send(client, ("a.png", png()), task="denoise", strength="0.4").headers["location"]
    job, _, settings = location.removeprefix("/restore/").partition("?")
    finished(f"/restore/{job}")
    link = html.escape(f"/restore?{settings}")
    assert link in client.get(location).text
    answer = client.get(location.replace(job, "unknown"))
    assert answer.status_code == 404
    assert link in answer.text
    assert 'value="0.4"' in client.get(f"/restore?{settings}").text


def test_a_run_is_a_model(client: Any, finished: Finished) -> None:
    run = run_for(client, "reconstruct", "conv2-conv3")
    url = sent(client, ("a.png", png()), task="reconstruct", model=run)
    assert finished(url)["state"] == "done"


@pytest.mark.parametrize(
    "fields",
    [
        {"task": "fly"},
        {"model": "../../secret"},
        {"saturation": "much"},
        {"saturation": "11"},
        {"saturation": "nan"},
        {"scales": "0"},
        {"scales": "x"},
        {"saturation": "1,2,3,4,5,6,7,8,9"},
        {"variants": "9"},
        {"variants": "2"},
        {"task": "denoise", "strength": "1.1"},
        {"task": "restore"},
    ],
)
def test_wrong_values_are_refused_in_a_line(client: Any, fields: dict[str, str]) -> None:
    answer = send(client, ("a.png", png()), **fields)
    assert answer.status_code == 400
    assert answer.text.count('role="alert"') == 1


def test_no_picture_and_no_job(client: Any) -> None:
    assert send(client).status_code == 400
    for path in ("", "/progress", "/0/after", "/all.zip"):
        assert client.get(f"/restore/unknown{path}").status_code == 404
