"""A convolutional autoencoder as a scikit-learn estimator, which turns images into codes.

>>> import numpy as np
>>> from sklearn.linear_model import LogisticRegression
>>> from sklearn.pipeline import make_pipeline
>>> from caelab.sklearn import ConvolutionalAutoencoder
>>> rng = np.random.default_rng(0)
>>> labels = np.arange(32) % 2
>>> images = rng.random((32, 3, 8, 8)) * 0.5 + labels.reshape(-1, 1, 1, 1) * 0.5
>>> encoder = ConvolutionalAutoencoder(
...     "conv4 pool conv2 | up conv3", epochs=2, batch_size=16, random_state=0
... )
>>> pipeline = make_pipeline(encoder, LogisticRegression()).fit(images, labels)
>>> pipeline[:-1].transform(images).shape
(32, 32)
>>> bool(pipeline.score(images, labels) > 0.9)
True
"""

import io
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import (
    check_array,
    check_is_fitted,
    check_random_state,
    validate_data,
)

from caelab.data.device_images import DeviceImages
from caelab.device import choose_device, choose_precision
from caelab.errors import InputError
from caelab.experiments.build_run import make_card, make_state
from caelab.experiments.config import RunConfig, make_config, merge
from caelab.models.inference import Inference
from caelab.networks.adapt import adapt
from caelab.networks.build import fold_batchnorm
from caelab.networks.describe import describe, require_image_output
from caelab.networks.description import Description
from caelab.networks.network_module import NetworkModule
from caelab.training.fit import fit

Array = NDArray[Any]

BATCH = 512
"""Number of images that go through the trained network together."""


class ConvolutionalAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A convolutional autoencoder that follows scikit-learn's conventions.

    Images are ``(N, C, H, W)``, or rows ``(N, C·H·W)`` if ``image_shape`` is given. Without
    ``image_shape``, a row is an image of one pixel with a channel for each feature. For training,
    images are rounded to 8 bits. Codes are ``float32 (N, code size)``, flattened in the order of
    ``code_shape_``.

    Args:
        network: A network text with ``|``, or the name of a preset.
        image_shape: Shape ``(C, H, W)`` of images that come as rows.
        scale: Range of the values. ``None``: uint8 from 0 to 255, or floats in [0, 1]. A pair
            ``(low, high)``: numbers in this range. ``"minmax"``: the range of the images in
            ``fit``; values of later images are clipped to it.
        epochs: Passes through the images.
        batch_size: Images per step; all images if there are fewer.
        optimizer: ``"soap"``, ``"adamw"`` or ``"adam"``.
        learning_rate: Peak of the learning rate; ``None`` chooses a rate that suits the network.
        loss: ``"mse"``, ``"l1"``, ``"huber"``, ``"charbonnier"`` or ``"bce"``.
        random_state: Seed of all randomness; an integer makes the result reproducible.
        warm_start: Whether another call of ``fit`` trains the same weights for ``epochs`` more
            epochs, instead of starting with new weights.
        options: Further parameters of a run, nested as in ``caelab.experiments.config``, such as
            ``{"batchnorm": True, "data": {"normalize": "none"}}``.

    Attributes:
        model_: The trained ``ImageModel``, a ``torch.nn.Module`` in evaluation mode.
        history_: One record per epoch: the mean of each loss term over the steps of the epoch,
            seconds and learning rate. If training continues, records are appended.
        image_shape_: Shape ``(C, H, W)`` of an image.
        code_shape_: Shape ``(c, h, w)`` of a code.
        range_: Smallest and largest value of an image, which the network sees as 0 and 1.
        n_features_in_: Number of features of an image, C·H·W.
    """

    def __init__(
        self,
        network: str = "reference",
        *,
        image_shape: tuple[int, int, int] | None = None,
        scale: tuple[float, float] | Literal["minmax"] | None = None,
        epochs: int = 10,
        batch_size: int = 128,
        optimizer: str = "soap",
        learning_rate: float | None = None,
        loss: str = "mse",
        random_state: Any = None,
        warm_start: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.network = network
        self.image_shape = image_shape
        self.scale = scale
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.loss = loss
        self.random_state = random_state
        self.warm_start = warm_start
        self.options = options

    def fit(self, X: Array, y: object = None) -> Self:  # noqa: ARG002, N803 - scikit-learn's names
        """Train on images; ``y`` is ignored.

        Raises:
            ValueError: The images have a wrong shape or values that are not finite or out of range,
                or a parameter is wrong.
        """
        return self._train(X, anew=not (self.warm_start and hasattr(self, "model_")))

    def partial_fit(self, X: Array, y: object = None) -> Self:  # noqa: ARG002, N803
        """Train for one more epoch, on these images, at a constant learning rate.

        The first call starts with new weights. Its images determine the shape, the range and the
        normalization of the images of later calls.

        Raises:
            ValueError: The images are wrong, or their shape differs from that of earlier images.
        """
        constant = {"epochs": 1, "optimizer": {"lr_schedule": "constant", "warmup": 0.0}}
        return self._train(X, constant, anew=not hasattr(self, "model_"))

    def _train(
        self, images: Array, options: Mapping[str, Any] | None = None, *, anew: bool
    ) -> Self:
        values = self._validate(images, reset=anew)
        # Pixels become bytes, so that training is the same as for every other data set.
        pixels = np.rint(values * 255).astype(np.uint8)
        try:
            config = self._config(options or {})
            description = _describe(config, pixels.shape[1:])
            device = choose_device(config.device)
            train = DeviceImages.of(pixels, np.arange(len(pixels)), device=device)
            if anew:
                self._card, self.history_ = make_card(config, description, train, "array"), []
            state = make_state(config, description, self._card, train)
            precision = choose_precision(config.precision, device)
        except InputError as error:
            raise ValueError(str(error)) from error
        if not anew:
            saving = io.BytesIO(self._saved)
            state.load_state_dict(torch.load(saving, map_location="cpu", weights_only=True))
            config = config.model_copy(update={"epochs": state.epoch + config.epochs})
        epochs = filter(None, fit(state, train, config, precision))
        self.history_ += [record | record.pop("terms") for record in map(asdict, epochs)]
        # The state is stored as bytes. So the estimator can be pickled, and trained further on
        # another device.
        torch.save(state.state_dict(), saving := io.BytesIO())
        self._saved: bytes = saving.getvalue()
        model = state.evaluated
        # For prediction, batch normalization is linear, so it can be merged into the convolutions.
        assert isinstance(model.network, NetworkModule)
        model.network = fold_batchnorm(model.network.eval())
        self.model_ = model.cpu().eval()
        assert description.code is not None
        self.code_shape_ = description.code.shape
        # From this attribute scikit-learn makes the names of the output's columns.
        self._n_features_out = description.code.size
        return self

    def transform(self, X: Array) -> Array:  # noqa: N803
        """Encode images ``(N, C, H, W)`` or rows to codes, ``float32 (N, code size)``."""
        return self._run("encode", self._validate(X)).reshape(-1, self._n_features_out)

    def inverse_transform(self, X: Array) -> Array:  # noqa: N803
        """Decode codes to images.

        Args:
            X: Codes ``(N, code size)``.

        Returns:
            Images ``float32 (N, C, H, W)``, or rows if ``fit`` got rows. The values are in the
            range of ``scale``; if ``scale`` is ``None``, in [0, 1].
        """
        check_is_fitted(self)
        codes = check_array(X, dtype=np.float32)
        if codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has {codes.shape[1]} features, but the codes of {type(self).__name__} have"
                f" {self._n_features_out}."
            )
        return self._as_given(self._run("decode", codes.reshape(-1, *self.code_shape_)))

    def reconstruct(self, X: Array) -> Array:  # noqa: N803
        """Encode and decode images.

        Args:
            X: Images ``(N, C, H, W)`` or rows.

        Returns:
            The images that ``inverse_transform(transform(X))`` returns.
        """
        return self._as_given(self._run("restore", self._validate(X)))

    def score(self, X: Array, y: object = None) -> float:  # noqa: ARG002, N803
        """Return minus the mean squared error of the reconstructions; higher is better.

        Args:
            X: Images ``(N, C, H, W)`` or rows. Values are scaled to [0, 1] before the error is
                measured.
            y: Ignored.
        """
        images = self._validate(X)
        restored = self._run("restore", images)
        return -float(np.mean(np.square(restored - images, dtype=np.float64)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.positive_only = self.scale is None
        tags.transformer_tags.preserves_dtype = []
        tags.non_deterministic = self.random_state is None
        return tags

    def _as_given(self, images: Array) -> Array:
        """Convert images in [0, 1] to the range of the images in ``fit``, and to rows if needed."""
        # Without a scale, the result has floats in [0, 1], even if `fit` got bytes.
        low, high = self.range_ if self.scale is not None else (0.0, 1.0)
        images = np.float32(low) + images * np.float32(high - low)
        return images.reshape(len(images), -1) if self._rows else images

    def _config(self, changed: Mapping[str, Any]) -> RunConfig:
        options = {
            "network": self.network,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "optimizer": {"kind": self.optimizer, "learning_rate": self.learning_rate},
            "loss": {"kind": self.loss},
            # If the user passes a generator, each fit draws another seed from it.
            "seed": int(check_random_state(self.random_state).randint(2**31 - 1)),
        }
        return make_config(merge(options, self.options or {}, changed))

    def _validate(self, images: Array, *, reset: bool = False) -> Array:
        """Return images as the network sees them, ``float32 (N, C, H, W)`` in [0, 1].

        Args:
            images: Images or rows from the user.
            reset: Whether to store the shape and the range of these images. Otherwise the images
                must have the stored shape and range.
        """
        # Checked first, because scikit-learn expects NotFittedError even for wrong images.
        if not reset:
            check_is_fitted(self)
        values = check_array(images, dtype="numeric", allow_nd=True)
        # Only for rows: for images, `validate_data` would count the channels as features.
        if values.ndim == 2:
            validate_data(self, images, reset=reset, skip_check_array=True)
            features = values.shape[1]
            shape = self.image_shape or (features, 1, 1)
            if (needed := int(np.prod(shape))) != features:
                raise ValueError(
                    f"X has {features} features, but image_shape {shape} needs {needed}."
                )
        else:
            shape = _image_shape(values.shape)
        if reset:
            self.image_shape_, self._rows = shape, values.ndim == 2
            self.n_features_in_ = int(np.prod(shape))
            self.range_ = self._choose_range(values)
        elif shape != self.image_shape_:
            raise ValueError(
                f"X has images of shape {shape}, but {type(self).__name__} is expecting images of"
                f" shape {self.image_shape_}, {self.n_features_in_} features as input."
            )
        low, high = self._choose_range(values) if self.scale is None else self.range_
        if self.scale == "minmax":
            values = values.clip(low, high)
        elif values.min() < low or values.max() > high:
            raise ValueError(
                f"images must be in [{low:g}, {high:g}], but these reach from {values.min():g} to"
                f" {values.max():g}. Give their range as scale=(low, high), or scale='minmax'."
            )
        # If all values are equal, the range is 0. Then they are divided by 1, and become 0.
        unit = (values.astype(np.float32) - np.float32(low)) / np.float32(high - low or 1)
        return np.ascontiguousarray(unit.reshape(-1, *shape))

    def _choose_range(self, values: Array) -> tuple[float, float]:
        """Return the smallest and largest value that images can have."""
        if self.scale is None:
            if values.dtype != np.uint8 and not np.issubdtype(values.dtype, np.floating):
                raise ValueError(
                    f"images must be uint8, or floats in [0, 1], but these are {values.dtype}. Give"
                    " their range as scale=(low, high), or scale='minmax'."
                )
            return (0.0, 255.0) if values.dtype == np.uint8 else (0.0, 1.0)
        if self.scale == "minmax":
            return float(values.min()), float(values.max())
        low, high = map(float, self.scale)
        if not low < high:
            raise ValueError(f"scale is (low, high) with low < high, not {self.scale}.")
        return low, high

    def _run(self, method: Literal["encode", "decode", "restore"], values: Array) -> Array:
        function = getattr(Inference(self.model_), method)
        # PyTorch warns about read-only arrays, such as those of data frames. So they are copied.
        images = torch.from_numpy(np.require(values, requirements="W"))
        with torch.inference_mode():
            parts = [function(part) for part in torch.split(images, BATCH)]
        return torch.cat(parts).float().contiguous().numpy()


def _describe(config: RunConfig, shape: tuple[int, ...]) -> Description:
    """Describe the network of a configuration for images of a shape ``(C, H, W)``."""
    channels, height, width = shape
    network = config.network if channels == 3 else adapt(config.network, outputs=channels)
    description = describe(network, channels=channels, size=(height, width))
    require_image_output(description, channels=channels)
    if description.code is None or description.skip_around_code:
        raise InputError(
            f"{description.text} has no code: a '|' outside all brackets must mark one."
        )
    if description.classifiers:
        raise InputError(
            f"{description.text} has a classify layer, but these images have no classes."
        )
    return description


def _image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return ``(C, H, W)`` from the shape of an array of images; raise if the shape is wrong."""
    if len(shape) != 4:
        advice = " Use X[:, None] for one channel." if len(shape) == 3 else ""
        raise ValueError(
            f"images must be (N, C, H, W), or rows of numbers, but these are {shape}.{advice}"
        )
    _, channels, height, width = shape
    # Scikit-image, Pillow and Keras have channels last. An image of 32×32×3 would otherwise be
    # taken for 32 channels of 32×3 pixels.
    if width in (1, 3, 4) and channels > 4:
        raise ValueError(
            f"images must be (N, C, H, W), but these are {shape}, with the channels last. Use"
            " X.transpose(0, 3, 1, 2)."
        )
    return channels, height, width
