"""The estimator follows scikit-learn's conventions: its checks, and ours about images."""

import doctest
import pickle
from collections.abc import Callable

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer, StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

import caelab.sklearn  # noqa: E402
from caelab.sklearn import ConvolutionalAutoencoder  # noqa: E402

NETWORK = "conv4 pool conv2 | up conv3"


def images(count: int = 24, size: int = 8, channels: int = 3) -> np.ndarray:
    """Gradients, float32 (N, C, size, size) in [0, 1]."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 1, size, dtype=np.float32)
    start, slope = rng.random((2, count, channels, 1, 1), np.float32)
    return np.broadcast_to(start * (1 - ramp) + slope * ramp, (count, channels, size, size)).copy()


def make(**changed: object) -> ConvolutionalAutoencoder:
    return ConvolutionalAutoencoder(
        **{"network": NETWORK, "epochs": 2, "batch_size": 8, "random_state": 0, **changed}
    )


@pytest.fixture(scope="module")
def fitted() -> ConvolutionalAutoencoder:
    return make().fit(images())


def test_the_examples_are_true() -> None:
    done = doctest.testmod(caelab.sklearn)
    assert done.attempted >= 9
    assert done.failed == 0


@parametrize_with_checks(
    [ConvolutionalAutoencoder("conv4k1 | conv3k1", epochs=2, scale="minmax", random_state=0)],
    expected_failed_checks=lambda _: {},  # it passes them all
)
def test_scikit_learns_own_checks(estimator: ConvolutionalAutoencoder, check: Callable) -> None:
    """The checks fit rows of numbers, whose features are the channels of images of one pixel."""
    check(estimator)


def test_fit_leaves_what_it_learned(fitted: ConvolutionalAutoencoder) -> None:
    assert fitted.image_shape_ == (3, 8, 8)
    assert fitted.code_shape_ == (2, 4, 4)
    assert fitted.n_features_in_ == 192
    assert [record["epoch"] for record in fitted.history_] == [1, 2]
    assert fitted.get_feature_names_out()[[0, -1]].tolist() == [
        "convolutionalautoencoder0", "convolutionalautoencoder31"
    ]  # fmt: skip
    assert fitted.get_params() == make().get_params()


def test_codes_go_there_and_back(fitted: ConvolutionalAutoencoder) -> None:
    given = images()
    codes = fitted.transform(given)
    assert (codes.shape, codes.dtype) == ((24, 32), np.float32)
    back = fitted.inverse_transform(codes)
    assert back.shape == given.shape
    assert 0 <= back.min() <= back.max() <= 1
    assert fitted.score(given) == pytest.approx(-np.square(back - given).mean(), rel=1e-5)
    eight = (given * 255).round().astype(np.uint8)
    np.testing.assert_allclose(fitted.transform(eight), codes, atol=0.05)
    np.testing.assert_allclose(fitted.transform(given[:1]), codes[:1], atol=1e-5)


def test_more_epochs_score_higher(fitted: ConvolutionalAutoencoder) -> None:
    assert make(epochs=30).fit(images()).score(images()) > fitted.score(images())


def test_the_random_state_decides(fitted: ConvolutionalAutoencoder) -> None:
    codes = fitted.transform(images())
    np.testing.assert_array_equal(clone(fitted).fit(images()).transform(images()), codes)
    assert np.abs(make(random_state=1).fit(images()).transform(images()) - codes).max() > 1e-3
    again = make().fit(images(16))
    np.testing.assert_array_equal(
        again.fit(images()).transform(images()), codes
    )  # fitted anew, whatever was before


def test_it_is_pickled_whole(fitted: ConvolutionalAutoencoder) -> None:
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(fitted)).transform(images()), fitted.transform(images())
    )


def test_reconstructions_are_what_the_score_measures(fitted: ConvolutionalAutoencoder) -> None:
    given = images()
    restored = fitted.reconstruct(given)
    np.testing.assert_allclose(
        restored, fitted.inverse_transform(fitted.transform(given)), atol=1e-5
    )
    assert fitted.score(given) == pytest.approx(-np.square(restored - given).mean(), rel=1e-5)
    rows = make(image_shape=(3, 8, 8), scale=(0, 255)).fit(given.reshape(24, -1) * 255)
    assert rows.reconstruct(given.reshape(24, -1) * 255).shape == (24, 192)


def test_a_warm_start_continues_and_others_begin_anew(fitted: ConvolutionalAutoencoder) -> None:
    warm = make(warm_start=True).fit(images())
    np.testing.assert_array_equal(warm.transform(images()), fitted.transform(images()))
    before = warm.score(images())
    again = pickle.loads(pickle.dumps(warm))
    assert warm.fit(images()).score(images()) > before
    assert [record["epoch"] for record in warm.history_] == [1, 2, 3, 4]
    # What was pickled continues in the same way, optimizer included.
    np.testing.assert_array_equal(again.fit(images()).transform(images()), warm.transform(images()))
    with pytest.raises(ValueError, match="expecting images of shape"):
        warm.fit(images(size=10))


@pytest.mark.parametrize("options", [{}, {"batchnorm": True, "ema_decay": 0.9}])
def test_partial_fits_train_epoch_by_epoch(options: dict[str, object]) -> None:
    parts = np.split(images(48), 2)
    online = make(options=options)
    scores = []
    for epoch in range(8):
        online.partial_fit(parts[epoch % 2])
        scores.append(online.score(images(48)))
    assert np.mean(scores[-2:]) > np.mean(scores[:2])
    assert [record["epoch"] for record in online.history_] == list(range(1, 9))
    # The rate stays, as nobody knows how many parts are to come.
    assert len({record["learning_rate"] for record in online.history_}) == 1


def test_a_search_chooses_a_network() -> None:
    networks = ["conv4 pool conv1 | up conv3", "conv4k1 conv3k1 | conv3k1"]
    search = GridSearchCV(make(epochs=20), {"network": networks}, cv=2, error_score="raise")
    search.fit(images(48))
    # Without a bottleneck less is lost.
    assert search.best_params_ == {"network": networks[1]}
    assert search.best_estimator_.code_shape_ == (3, 8, 8)


def test_codes_as_a_data_frame(fitted: ConvolutionalAutoencoder) -> None:
    pytest.importorskip("pandas")
    framed = clone(fitted).set_output(transform="pandas").fit(images())
    codes = framed.transform(images())
    assert list(codes.columns[:2]) == ["convolutionalautoencoder0", "convolutionalautoencoder1"]
    np.testing.assert_array_equal(codes.to_numpy(), fitted.transform(images()))
    assert framed.inverse_transform(codes).shape == (24, 3, 8, 8)


def test_rows_of_numbers_in_a_pipeline() -> None:
    flat = images().reshape(24, -1)
    halved = FunctionTransformer(
        lambda values: values / 2, lambda values: values * 2, check_inverse=False
    )
    pipeline = make_pipeline(halved, make(image_shape=(3, 8, 8)), StandardScaler())
    codes = pipeline.fit_transform(flat)
    assert codes.shape == (24, 32)
    np.testing.assert_allclose(codes.mean(0), 0, atol=1e-4)
    assert pipeline.inverse_transform(codes).shape == flat.shape
    assert pipeline.set_params(convolutionalautoencoder__epochs=1)[1].epochs == 1


@pytest.mark.parametrize("scale", ["minmax", (-3.0, 7.0)])
def test_values_of_any_range_are_scaled_to_that_of_images(
    fitted: ConvolutionalAutoencoder, scale: str | tuple[float, float]
) -> None:
    low, high = images().min(), images().max()
    stretched = images() * 10 - 3
    scaled = make(scale=scale).fit(stretched)
    expected = (10 * low - 3, 10 * high - 3) if scale == "minmax" else scale
    assert scaled.range_ == pytest.approx(expected)
    if scale != "minmax":
        np.testing.assert_allclose(
            scaled.transform(stretched), fitted.transform(images()), atol=1e-3
        )
    restored = scaled.inverse_transform(scaled.transform(stretched))
    error = np.square((restored - stretched) / (expected[1] - expected[0])).mean()
    assert scaled.score(stretched) == pytest.approx(-error, rel=1e-4)
    if scale == "minmax":  # later values are clipped
        np.testing.assert_array_equal(
            scaled.transform(np.full_like(stretched, 100)),
            scaled.transform(np.full_like(stretched, scaled.range_[1])),
        )


def test_rows_without_a_shape_are_images_of_one_pixel() -> None:
    rows = np.random.default_rng(0).random((20, 5))
    fitted = make(network="conv2k1 | conv3k1").fit(rows)
    assert fitted.image_shape_ == (5, 1, 1)
    assert fitted.inverse_transform(fitted.transform(rows)).shape == rows.shape


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_images_of_any_number_of_channels(channels: int) -> None:
    given = images(channels=channels)
    fitted = make().fit(given)
    assert fitted.inverse_transform(fitted.transform(given)).shape == given.shape
    assert fitted.score(given) > -0.1


def test_gray_images_and_options() -> None:
    gray = make(options={"batchnorm": True, "data": {"normalize": "none"}}).fit(images(channels=1))
    assert gray.inverse_transform(gray.transform(images(channels=1))).shape == (24, 1, 8, 8)
    assert not any("norm" in name for name, _ in gray.model_.network.named_parameters())


def test_what_is_wrong_is_a_value_error(fitted: ConvolutionalAutoencoder) -> None:
    with pytest.raises(NotFittedError):
        make().transform(images())
    with pytest.raises(NotFittedError):
        make().inverse_transform(np.zeros((1, 32)))
    broken = images()
    broken[0, 0, 0, 0] = np.nan
    cases = [
        (lambda: fitted.transform(images(size=10)), r"expecting .* 192 features as input"),
        (
            lambda: fitted.inverse_transform(np.zeros((1, 31))),
            "X has 31 features, but the codes .* have 32",
        ),
        (lambda: make().fit(images() * 2), r"must be in \[0, 1\], .* scale=\(low, high\)"),
        (lambda: make(scale=(0, 0.2)).fit(images()), r"must be in \[0, 0.2\]"),
        (lambda: make(scale=(1, 0)).fit(images()), "low < high"),
        (lambda: make().fit((images() * 9).astype(int)), "images must be uint8"),
        (lambda: make().fit(broken), "NaN"),
        (
            lambda: make(image_shape=(3, 8, 9)).fit(images().reshape(24, -1)),
            "X has 192 features, but image_shape .* needs 216",
        ),
        (lambda: make().fit(images()[:, 0]), r"these are .* Use X\[:, None\]"),
        (lambda: make().fit(images().transpose(0, 2, 3, 1)), r"transpose\(0, 3, 1, 2\)"),
        (lambda: make(network="conv4 conv3").fit(images()), "has no code"),
        (lambda: make(network="conv4 pol | conv3").fit(images()), "pol"),
        (lambda: make(network="conv4 classify2 | conv3").fit(images()), "no classes"),
        (lambda: make(epochs=0).fit(images()), "epochs"),
        (lambda: make(options={"optimizr": {"kind": "adam"}}).fit(images()), "optimizer"),
    ]
    for wrong, message in cases:
        with pytest.raises(ValueError, match=message):
            wrong()
