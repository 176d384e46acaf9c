"""The view "Restore", from the upload to the files."""

import io
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

import caelab

from .conftest import png

Finished = Callable[[str], dict[str, Any]]


def send(client: Any, *files: tuple[str, bytes], **fields: str) -> Any:
    uploads = [("pictures", file) for file in files]
    data = {"task": "colorize", **fields}
    return client.post("/restore", data=data, files=uploads, follow_redirects=False)


def test_a_picture_is_colored_as_by_the_python_interface(client: Any, finished: Finished) -> None:
    url = send(client, ("a.png", png())).headers["location"]
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
    url = send(client, *files).headers["location"]
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
    url = send(client, (name, png())).headers["location"]
    assert finished(url)["state"] == "done"
    page = client.get(url).text
    assert "<script>alert" not in page
    assert ".." not in page
    assert client.get(f"{url}/0/result").status_code == 200


def test_errors_are_measured_where_the_truth_is_known(client: Any, finished: Finished) -> None:
    url = send(client, ("a.png", png()), compared="on").headers["location"]
    finished(url)
    assert "CIEDE2000" in client.get(url).text


def test_a_run_is_a_model(client: Any, finished: Finished) -> None:
    page = client.get("/restore?task=reconstruct").text
    (run,) = [part.split("<")[0] for part in page.split("<option>") if "conv2-conv3" in part]
    url = send(client, ("a.png", png()), task="reconstruct", model=run).headers["location"]
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
        {"variants": "9"},
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
