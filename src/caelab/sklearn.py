"""A convolutional autoencoder as a scikit-learn estimator: images to codes, in a pipeline.

>>> import numpy as np
>>> from sklearn.linear_model import LogisticRegression
>>> from sklearn.pipeline import make_pipeline
>>> from caelab.sklearn import ConvolutionalAutoencoder
>>> rng = np.random.default_rng(0)
>>> labels = np.arange(32) % 2
>>> images = (rng.random((32, 3, 8, 8)) * 0.5 + labels.reshape(-1, 1, 1, 1) * 0.5).astype(np.float32)
>>> encoder = ConvolutionalAutoencoder("conv4 pool conv2 | up conv3", epochs=2, batch=16, random_state=0)
>>> pipeline = make_pipeline(encoder, LogisticRegression()).fit(images, labels)
>>> pipeline[:-1].transform(images).shape
(32, 32)
>>> bool(pipeline.score(images, labels) > 0.9)
True
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, check_random_state

from caelab.errors import InputError

Array = NDArray[Any]

BATCH = 512
"""Images that go through the trained network together."""


class ConvolutionalAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A convolutional autoencoder that keeps scikit-learn's conventions.

    Images are (N, C, H, W), or (N, C·H·W) with ``image_shape``; uint8, or floats in [0, 1]. For
    training they are rounded to 8 bits. Codes are float32 (N, code size), flattened in the order of
    ``code_shape_``.

    Args:
        network: A network text with ``|``, or a preset's name.
        image_shape: (C, H, W), where images come as rows of numbers.
        epochs: Passes through the images.
        batch: Images a step; all of them where there are fewer.
        optimizer: ``"soap"``, ``"adamw"`` or ``"adam"``.
        learning_rate: Its peak; ``None`` chooses one that suits the network.
        loss: ``"mse"``, ``"l1"``, ``"huber"``, ``"charbonnier"`` or ``"bce"``.
        random_state: An integer fixes all chance.
        options: Further parameters of a run (``experiments.config.RunConfig``), in their tables:
            ``{"data": {"normalize": "none"}, "batchnorm": True}``.

    Attributes:
        model_: The trained network between normalisation and prediction, a ``torch.nn.Module`` in
            evaluation mode.
        history_: One record an epoch: the mean of each loss term over its steps, seconds, learning
            rate.
        image_shape_: (C, H, W).
        code_shape_: (c, h, w).
        n_features_in_: C·H·W.
    """

    def __init__(
        self,
        network: str = "reference",
        *,
        image_shape: tuple[int, int, int] | None = None,
        epochs: int = 10,
        batch: int = 128,
        optimizer: str = "soap",
        learning_rate: float | None = None,
        loss: str = "mse",
        random_state: Any = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.network = network
        self.image_shape = image_shape
        self.epochs = epochs
        self.batch = batch
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.loss = loss
        self.random_state = random_state
        self.options = options

    def fit(self, X: Array, y: object = None) -> Self:  # noqa: ARG002, N803 - scikit-learn's names
        """Train on images; ``y`` is not looked at.

        Raises:
            ValueError: The images have another form, hold numbers not finite or outside [0, 1], or
                an option is wrong.
        """
        from caelab.training.fit import fit

        values = _checked(X)
        shape = self._shape_of(values)
        images = np.rint(_unit(values).reshape(-1, *shape) * 255).astype(np.uint8)
        try:
            state, train, plan, description = self._prepare(images)
        except InputError as error:
            raise ValueError(str(error)) from error
        self.history_ = [
            {
                "epoch": done.epoch,
                "seconds": done.seconds,
                "learning_rate": done.learning_rate,
                **done.terms,
            }
            for done in fit(state, train, plan)
            if done is not None
        ]
        self._keep(state.evaluated)
        self.image_shape_, self.code_shape_ = shape, description.code.shape
        self.n_features_in_ = int(np.prod(shape))
        self._n_features_out = description.code.size
        return self

    def transform(self, X: Array) -> Array:  # noqa: N803
        """Encode images to codes, float32 (N, code size)."""
        return self._apply(
            self._given(X), lambda inference, images: inference.encode(images).flatten(1)
        )

    def inverse_transform(self, X: Array) -> Array:  # noqa: N803
        """Decode codes (N, code size) to images in [0, 1], float32, of the form that ``fit`` was
        given.
        """
        check_is_fitted(self)
        codes = check_array(X, dtype=np.float32)
        if codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has {codes.shape[1]} features, but the codes of {type(self).__name__} have"
                f" {self._n_features_out}."
            )
        images = self._apply(
            codes.reshape(-1, *self.code_shape_), lambda inference, code: inference.decode(code)
        )
        return images if self.image_shape is None else images.reshape(len(images), -1)

    def score(self, X: Array, y: object = None) -> float:  # noqa: ARG002, N803
        """Return minus the mean squared error of the reconstructions on [0, 1]: higher is
        better.
        """
        given = self._given(X)
        restored = self._apply(given, lambda inference, images: inference.restore(images))
        return -float(np.mean(np.square(restored - given, dtype=np.float64)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = []
        tags.non_deterministic = self.random_state is None
        return tags

    def _prepare(self, images: NDArray[np.uint8]) -> tuple[Any, Any, Any, Any]:
        """The training state, the images, the plan and the network's description."""
        from caelab.data.image_set import ImageSet, Source
        from caelab.data.split import Split
        from caelab.device import choose_device, choose_precision
        from caelab.experiments.config import make_config, merge, nest
        from caelab.experiments.setup import make_plan, make_state, place, require_labels
        from caelab.networks import describe, require_image_output
        from caelab.networks.adapt import adapt

        channels, height, width = images.shape[1:]
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        given = {
            "network": self.network,
            "epochs": self.epochs,
            "batch_size": min(self.batch, len(images)),
            "optimizer": self.optimizer,
            "learning_rate": self.learning_rate,
            "loss": self.loss,
            "seed": seed,
        }
        config = make_config(merge(nest(given), self.options or {}))
        network = config.network
        description = describe(
            network if channels == 3 else adapt(network, outputs=channels),
            channels=channels,
            size=(height, width),
        )
        require_image_output(description, channels=channels)
        if description.code is None or description.skip_around_code:
            raise InputError(
                f"{description.text} has no code: a '|' that no bracket runs around must mark one."
            )
        source = Source(name="array", where="memory", note="", fingerprint="")
        whole = ImageSet(
            images=images, labels=None, classes=(), source=source, part=None, official_test=None
        )
        require_labels(description, whole)
        # Only the training part is looked at; the others may not be empty.
        first = np.zeros(1, np.int64)
        split = Split(train=np.arange(len(images)), validation=first, test=first)
        device = choose_device(config.device)
        parts = place(whole, split, config, device)
        state = make_state(config, description, parts, device)
        plan = make_plan(config, state.model.network, choose_precision(config.precision, device))
        return state, parts.train, plan, description

    def _keep(self, model: Any) -> None:
        from caelab.networks.build import fold_batchnorm

        model.network = fold_batchnorm(model.network.eval())
        self.model_ = model.cpu().eval()

    def _shape_of(self, values: Array) -> tuple[int, int, int]:
        if values.ndim == 4:
            channels, height, width = values.shape[1:]
            return channels, height, width
        if self.image_shape is None:
            raise ValueError(
                f"images are (N, C, H, W), not {values.shape}; for rows of numbers give"
                " image_shape."
            )
        if int(np.prod(self.image_shape)) != values.shape[1]:
            raise ValueError(
                f"X has {values.shape[1]} features, which image_shape {self.image_shape} does not"
                " make."
            )
        return self.image_shape

    def _given(self, values: Array) -> Array:
        """Images as the network is given them, float32 (N, C, H, W)."""
        check_is_fitted(self)
        values = _checked(values)
        features = int(np.prod(values.shape[1:]))
        if features != self.n_features_in_ or (
            values.ndim == 4 and values.shape[1:] != self.image_shape_
        ):
            raise ValueError(
                f"X has {features} features {values.shape[1:]}, but {type(self).__name__} is"
                f" expecting {self.n_features_in_} features as input, {self.image_shape_}."
            )
        return _unit(values).reshape(-1, *self.image_shape_)

    def _apply(self, values: Array, function: Any) -> Array:
        import torch

        from caelab.models.inference import Inference

        inference = Inference(self.model_)
        with torch.inference_mode():
            parts = [
                function(inference, torch.from_numpy(values[at : at + BATCH]))
                for at in range(0, len(values), BATCH)
            ]
        made: Array = torch.cat(parts).float().contiguous().numpy()
        return made


def _checked(values: Array) -> Array:
    checked: Array = check_array(values, dtype=None, allow_nd=True, ensure_min_samples=1)
    if checked.ndim not in (2, 4):
        raise ValueError(f"images are (N, C, H, W), or rows of numbers; this is {checked.shape}.")
    if checked.dtype != np.uint8 and (
        not np.issubdtype(checked.dtype, np.floating) or checked.min() < 0 or checked.max() > 1
    ):
        raise ValueError(
            f"images are uint8, or floats in [0, 1]; these are {checked.dtype}, and some lie"
            " elsewhere."
        )
    return checked


def _unit(values: Array) -> Array:
    """Float32 in [0, 1]."""
    unit: Array = np.ascontiguousarray(values, np.float32)
    return unit / np.float32(255) if values.dtype == np.uint8 else unit
