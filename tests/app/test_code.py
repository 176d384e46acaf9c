"""The view "Code", and the changes of a code."""

from typing import Any

import numpy as np
import pytest

import caelab
from caelab.models.code_changes import interpolate, quantize, scale_channel, without_channels

from .conftest import png

CODE = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)


def test_changes_of_a_code() -> None:
    np.testing.assert_array_equal(without_channels(CODE, [1, 9])[:, [0, 2]], CODE[:, [0, 2]])
    assert not without_channels(CODE, [1])[:, 1].any()
    np.testing.assert_allclose(scale_channel(CODE, 2, -0.5)[:, 2], -0.5 * CODE[:, 2])
    np.testing.assert_array_equal(interpolate(CODE, CODE[::-1], 0), CODE)
    np.testing.assert_array_equal(interpolate(CODE, CODE[::-1], 1), CODE[::-1])


@pytest.mark.parametrize("bits", [1, 3, 8, 16])
def test_quantizing_errs_by_half_a_step_at_most(bits: int) -> None:
    rounded = quantize(CODE, bits)
    span = np.ptp(CODE, axis=(0, 2, 3))
    error = np.abs(rounded - CODE).max(axis=(0, 2, 3))
    assert (error <= span / (2**bits - 1) / 2 * 1.001 + 1e-6).all()
    assert all(len(np.unique(rounded[:, channel])) <= 2**bits for channel in range(3))
    np.testing.assert_array_equal(quantize(np.zeros((1, 2, 3, 3), np.float32), bits), 0)


def test_the_page_shows_the_error_of_the_model(client: Any) -> None:
    from caelab.app import code_view

    shown = code_view.look({"model": "best-64", "image": "5"}, [], client.app.state.runs, None)
    image = code_view._examples((32, 32))[5][None] / np.float32(255)
    model = caelab.load("best-64")
    mse = np.square(model.decode(model.encode(image)) - image).mean()
    assert shown["numbers"][0]["mse"] == pytest.approx(mse, rel=1e-5)
    assert shown["bytes"]["float32"] == 256


@pytest.mark.parametrize(
    "query",
    [
        "model=best-64&bits=4",
        "model=best-64&maps=1&on=0&on=2",
        "model=best-64&other=3&mix=20",
        "model=best-64&channel=1&factor=-2",
        "model=reference",
    ],
)
def test_every_change_has_a_url(client: Any, query: str) -> None:
    assert client.get(f"/code?{query}").status_code == 200
    assert client.get(f"/code/part?{query}").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "model=../x",
        "model=colorize",
        "image=-1",
        "image=99",
        "image=own-x",
        "bits=17",
        "mix=a&other=1",
    ],
)
def test_wrong_values_are_refused(client: Any, query: str) -> None:
    answer = client.get(f"/code?{query}")
    assert answer.status_code == 400
    assert answer.text.count('role="alert"') == 1


def test_an_own_picture(client: Any) -> None:
    files = {"picture": ("own.png", png())}
    shown = client.post("/code", data={"model": "best-64"}, files=files)
    assert shown.status_code == 200
    assert "own-" in str(shown.url)
    bad = client.post("/code", data={"model": "best-64"}, files={"picture": ("a.png", b"x")})
    assert bad.status_code == 400
    assert client.get(str(shown.url).replace("own-", "own-x")).status_code == 400


def test_a_code_without_pixels_is_shown_as_bars(client: Any) -> None:
    from caelab.app.code_view import look
    from caelab.app.found_runs import find_runs

    state = client.app.state
    (name,) = [run.name for run in find_runs(state.runs) if "dense5" in run.name]
    shown = look({"model": name}, [], state.runs, state.jobs)
    values = shown["code"].ravel()
    assert [each.image for each in shown["maps"]] == [None] * 5
    for value, each in zip(values, shown["maps"], strict=True):
        left, width = each.bar
        assert width == pytest.approx(50 * abs(value) / np.abs(values).max(), abs=1e-3)
        assert left == pytest.approx(50 if value >= 0 else 50 - width, abs=1e-3)
    page = client.get("/code", params={"model": name, "maps": "1", "on": "3"})
    assert page.text.count('<svg class="bar"') == 5
