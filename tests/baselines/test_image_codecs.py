import io
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from caelab.baselines.image_codecs import FileCost, error_at, file_costs
from caelab.data.device_images import DeviceImages

RNG = np.random.default_rng(0)
SMOOTH = np.clip(
    128
    + np.cumsum(np.cumsum(RNG.normal(0, 1.5, (40, 3, 32, 32)), axis=2), axis=3)
    + np.cumsum(RNG.normal(0, 6, (40, 1, 32, 32)), axis=3),
    0,
    255,
).astype(np.uint8)
TEST = DeviceImages.of(SMOOTH, np.arange(30, 40), device=torch.device("cpu"))


def test_a_quality_is_what_pillow_makes_of_it() -> None:
    half, full, *_ = file_costs(TEST, qualities=(60,))
    assert (half.setting, full.setting) == ("quality 60, 4:2:0", "quality 60, 4:4:4")
    for cost, subsampling in ((half, 2), (full, 0)):
        sizes, errors = [], []
        for image in SMOOTH[30:].transpose(0, 2, 3, 1):
            file = io.BytesIO()
            Image.fromarray(image).save(file, "JPEG", quality=60, subsampling=subsampling)
            sizes.append(file.tell())
            errors.append(np.mean((np.asarray(Image.open(file)) / 255 - image / 255) ** 2))
        assert cost.bytes == np.mean(sizes)
        assert cost.mse == pytest.approx(np.mean(errors))
        assert cost.n == 10


def test_the_payload_is_what_differs_between_files() -> None:
    """Header and payload of JPEG, and nothing of WebP's dimensions, come apart by comparing whole
    files."""
    files = []
    for image in SMOOTH[:10].transpose(0, 2, 3, 1):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=60, subsampling="4:2:0")
        files.append(file.getvalue())
    shared = next(place for place in itertools.count() if len({data[place] for data in files}) > 1)
    half, *_ = file_costs(
        DeviceImages.of(SMOOTH, np.arange(10), device=torch.device("cpu")), qualities=(60,)
    )
    header = half.bytes - half.payload_bytes
    assert header == pytest.approx(
        623 + 2
    )  # markers, quantization and Huffman tables of T.81; the end marker
    assert 623 <= shared < 626  # the first payload bytes may agree by chance


def test_webp_is_cheaper_and_has_a_lossless_mode() -> None:
    costs = file_costs(TEST, qualities=(30, 90))[4:]
    assert [cost.setting for cost in costs] == ["quality 30", "quality 90", "lossless"]
    low, high, lossless = costs
    assert low.bytes < high.bytes
    assert low.mse > high.mse > lossless.mse == 0
    assert [cost.bytes - cost.payload_bytes for cost in costs] == pytest.approx([27, 27, 25])


def test_a_larger_quality_costs_more_and_errs_less() -> None:
    costs = file_costs(TEST, qualities=(10, 50, 95))[:3]
    for better in ("bytes", "payload_bytes"):
        values = [getattr(cost, better) for cost in costs]
        assert values == sorted(values)
    errors = [cost.mse for cost in costs]
    assert errors == sorted(errors, reverse=True)


def point(size: float, mse: float) -> FileCost:
    return FileCost(format="JPEG", setting="", bytes=size, payload_bytes=size - 10, mse=mse, n=1)


def test_the_error_between_settings_lies_on_the_convex_hull() -> None:
    costs = [
        point(100, 8.0),
        point(200, 2.0),
        point(150, 7.0),
        point(300, 1.0),
        point(250, 3.0),
        point(400, 1.0),
    ]
    wanted = {99: None, 100: 8.0, 150: 5.0, 200: 2.0, 250: 1.5, 300: 1.0, 5000: 1.0}
    found = {size: error_at(costs, size, count="bytes") for size in wanted}
    assert found == pytest.approx(wanted)
    assert error_at(costs, 140, count="payload_bytes") == pytest.approx(5.0)
    assert error_at([], 100, count="bytes") is None


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), min_size=1, max_size=12),
    st.integers(1, 60),
)
def test_no_mixture_of_two_settings_is_better(
    points: list[tuple[int, int]], available: int
) -> None:
    found = error_at([point(*pair) for pair in points], available, count="bytes")
    best = math.inf
    for (size, mse), (other, other_mse) in itertools.product(points, repeat=2):
        if size <= available:
            share = 0.0 if other <= size else min(1.0, (available - size) / (other - size))
            best = min(best, mse + share * (other_mse - mse))
    assert found is None if math.isinf(best) else found == pytest.approx(best)
