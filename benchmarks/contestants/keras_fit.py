"""Keras 3 ``fit`` on arrays in memory; ``KERAS_BACKEND`` chooses the backend."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from benchmarks.contestants.data import train_and_test
from benchmarks.contestants.record import Record
from benchmarks.tasks import Task


class Rearranged(layers.Layer):
    """4×4 blocks of pixels to channels or back, ``(N, H, W, C)`` ↔ ``(N, H/4, W/4, 16·C)``."""

    def __init__(self, *, to_channels: bool) -> None:
        super().__init__()
        self.to_channels = to_channels

    def call(self, x: Any) -> Any:
        """Rearrange a batch of static height, width and channels."""
        _, height, width, channels = x.shape
        if self.to_channels:
            x = ops.reshape(x, (-1, height // 4, 4, width // 4, 4, channels))
            return ops.reshape(
                ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, height // 4, width // 4, 16 * channels)
            )
        x = ops.reshape(x, (-1, height, width, 4, 4, channels // 16))
        return ops.reshape(
            ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 4 * height, 4 * width, channels // 16)
        )


def _conv(channels: int, activation: str | None = "relu", kernel: int = 3) -> layers.Layer:
    return layers.Conv2D(channels, kernel, padding="same", activation=activation)


def reference(size: int) -> keras.Model:
    """Return ``conv8 pool conv12 pool conv16 | up conv12 up conv3``."""
    encoder = [_conv(8), layers.MaxPooling2D(), _conv(12), layers.MaxPooling2D(), _conv(16)]
    decoder = [layers.UpSampling2D(), _conv(12), layers.UpSampling2D(), _conv(3, None)]
    return keras.Sequential([keras.Input((size, size, 3)), *encoder, *decoder])


def residual(size: int) -> keras.Model:
    """Return ``caelab``'s preset ``residual``."""

    def blocks(x: Any) -> Any:
        for _ in range(2):
            x = layers.Add()([x, _conv(96, None)(_conv(96, "gelu")(x))])
        return x

    images = keras.Input((size, size, 3))
    code = _conv(12, None, 1)(blocks(_conv(96)(Rearranged(to_channels=True)(images))))
    output = Rearranged(to_channels=False)(_conv(48, None)(blocks(_conv(96)(code))))
    return keras.Model(images, output)


NETWORKS = {"reference": reference, "residual": residual}


class Clock(keras.callbacks.Callback):
    """Callback that reports the begin and end of epochs to the record."""

    def __init__(self, record: Record, images: int) -> None:
        super().__init__()
        self.record, self.images = record, images

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Report the begin of an epoch."""
        self.record.begin()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Report the end of an epoch."""
        self.record.end(self.images)


def main() -> None:
    """Train as the task says and print what was measured."""
    task = Task.from_arguments()
    keras.utils.set_random_seed(task.seed)
    train, _, name = train_and_test(task)
    images = train.astype(np.float32) / 255
    del train
    model = NETWORKS[task.network](images.shape[1])
    model.compile(optimizer=keras.optimizers.Adam(task.learning_rate), loss="mse")
    record = Record(task, weights=model.count_params(), data=name)
    clock = Clock(record, len(images))
    history = model.fit(
        images,
        images,
        batch_size=task.batch or 32,
        epochs=task.epochs,
        verbose=0,
        callbacks=[clock],
    )
    record.said["train_mse"] = float(history.history["loss"][-1])
    record.tell()


if __name__ == "__main__":
    main()
