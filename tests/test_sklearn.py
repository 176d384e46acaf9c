"""The estimator keeps scikit-learn's conventions: scikit-learn's own checks where they are about no
data, ours else."""

import doctest
import pickle

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer, StandardScaler  # noqa: E402
from sklearn.utils import estimator_checks  # noqa: E402

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
        **{"network": NETWORK, "epochs": 2, "batch": 8, "random_state": 0, **changed}
    )


@pytest.fixture(scope="module")
def fitted() -> ConvolutionalAutoencoder:
    return make().fit(images())


def test_the_examples_are_true() -> None:
    done = doctest.testmod(caelab.sklearn)
    assert done.attempted >= 9
    assert done.failed == 0


@pytest.mark.parametrize(
    "check",
    [
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_estimator_tags_renamed",
        "check_get_params_invariance",
        "check_mixin_order",
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_set_params",
        "check_valid_tag_types",
    ],
)
def test_scikit_learns_own_checks(check: str) -> None:
    estimator = ConvolutionalAutoencoder()
    function = getattr(estimator_checks, check)
    function("ConvolutionalAutoencoder", estimator)


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
        (lambda: fitted.transform(images(size=10)), r"expecting 192 features as input"),
        (
            lambda: fitted.inverse_transform(np.zeros((1, 31))),
            "X has 31 features, but the codes .* have 32",
        ),
        (lambda: make().fit(images() * 2), "floats in \\[0, 1\\]"),
        (lambda: make().fit((images() * 9).astype(int)), "images are uint8"),
        (lambda: make().fit(broken), "NaN"),
        (lambda: make().fit(images().reshape(24, -1)), "for rows of numbers give image_shape"),
        (lambda: make(image_shape=(3, 8, 9)).fit(images().reshape(24, -1)), "does not make"),
        (lambda: make().fit(images()[:, 0]), "this is"),
        (lambda: make(network="conv4 conv3").fit(images()), "has no code"),
        (lambda: make(network="conv4 pol | conv3").fit(images()), "pol"),
        (lambda: make(epochs=0).fit(images()), "`epochs` 0"),
        (
            lambda: make(options={"optimiser": {"kind": "adam"}}).fit(images()),
            "did you mean `optimizer.kind`",
        ),
    ]
    for wrong, message in cases:
        with pytest.raises(ValueError, match=message):
            wrong()
