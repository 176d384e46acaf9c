"""What a code costs in bytes, beside JPEG and WebP at the same bytes.

A code is counted in numbers elsewhere. Stored as ``float32``, one of 1,024 numbers takes 4,096
bytes, more than the 3,072 of a 32×32 image; so it is quantised here, and the error that this adds
is measured.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from caelab.data.pixels import Pixels
from caelab.metrics.evaluate import squared_errors
from caelab.models.image_model import ImageModel
from caelab.models.inference import Inference, restoring

FLOAT_BITS = 32
"""Of a number of the code that is not quantised."""


@dataclass(frozen=True, kw_only=True)
class CodeCost:
    """A code at one precision.

    Attributes:
        bits: Of a number of the code; ``FLOAT_BITS`` is the code as the network gives it.
        numbers: In the code.
        bytes: An image takes when every number is stored in ``bits`` bits, filled up to whole
            bytes. The ranges of the channels belong to the model and are not counted.
        entropy_bytes: An image takes on average when an ideal coder spends on each number the
            empirical entropy of its channel; that is the bound for coders that see no dependence
            between numbers. The entropy is that of the measured images, so it is a little low where
            a channel has few numbers. ``None`` for ``float32``.
        image_bytes: Of the image itself, a byte for each of its numbers.
        mse: Mean over images of the reconstruction's error, on clipped [0, 1] pixels.
        n: Images measured.
    """

    bits: int
    numbers: int
    bytes: int
    entropy_bytes: float | None
    image_bytes: int
    mse: float
    n: int

    @property
    def larger_than_image(self) -> bool:
        """Whether storing the image itself, without any loss, would take no more."""
        return self.bytes >= self.image_bytes


@dataclass(frozen=True)
class Quantizer:
    """Uniform quantisation of codes ``(N, C, H, W)``, channel by channel.

    Attributes:
        low: The smallest value of each channel, ``(C, 1, 1)``, which is level 0.
        step: From level to level, ``(C, 1, 1)``; the channel's largest value is the last level.
        bits: There are 2 to the power of it levels.
    """

    low: Tensor
    step: Tensor
    bits: int

    @classmethod
    def of_range(cls, low: Tensor, high: Tensor, *, bits: int) -> "Quantizer":
        """Cover the values between ``low`` and ``high``, each ``(C, 1, 1)``."""
        step = (high - low) / (2**bits - 1)
        return cls(
            low, torch.where(step > 0, step, 1.0), bits
        )  # of a constant channel every level is the same

    def levels(self, code: Tensor) -> Tensor:
        """Return the nearest levels, ``int64 (N, C, H, W)``; what is out of range goes to the first
        or the last.
        """
        return ((code - self.low) / self.step).round_().clamp_(0, 2**self.bits - 1).long()

    def values(self, levels: Tensor) -> Tensor:
        """Return the code that the levels stand for, ``float32 (N, C, H, W)``."""
        return self.low + levels * self.step


@torch.no_grad()
def code_range(model: ImageModel, pixels: Pixels, *, batch: int = 512) -> tuple[Tensor, Tensor]:
    """Return each channel's smallest and largest value in the codes of ``pixels``, ``float32 (C, 1,
    1)`` each.

    Raises:
        InputError: The network has no code, or a bracket runs around it.
    """
    extremes = [
        torch.aminmax(code.transpose(0, 1).flatten(1), dim=1)
        for code in _codes(model, pixels, batch)
    ]
    low = torch.stack([extreme.min for extreme in extremes]).amin(0)
    high = torch.stack([extreme.max for extreme in extremes]).amax(0)
    return low[:, None, None], high[:, None, None]


@torch.no_grad()
def code_costs(
    model: ImageModel,
    train: Pixels,
    measured: Pixels,
    *,
    bits: Sequence[int] = (8, 6, 4),
    batch: int = 512,
) -> tuple[CodeCost, ...]:
    """Return what the model's code costs, as ``float32`` and quantised, and the error that remains.

    Args:
        model: Whose network can be cut in two at its code.
        train: The training part; it alone gives the ranges of the channels.
        measured: The images that the entropy and the error are measured on.
        bits: Of a quantised number, 1 to 8.
        batch: Images at once.

    Raises:
        InputError: The network has no code, or a bracket runs around it.
    """
    low, high = code_range(model, train, batch=batch)
    (numbers,) = (code.numel() for code in _codes(model, measured.at(np.arange(1)), 1))
    image_bytes = int(np.prod(measured.shape))

    def cost(precision: int, entropy_bytes: float | None, errors: np.ndarray) -> CodeCost:
        return CodeCost(
            bits=precision,
            numbers=numbers,
            bytes=-(-numbers * precision // 8),
            entropy_bytes=entropy_bytes,
            image_bytes=image_bytes,
            mse=float(errors.mean()),
            n=len(measured),
        )

    costs = [cost(FLOAT_BITS, None, _errors(model, measured, batch))]
    for precision in bits:
        quantizer = Quantizer.of_range(low, high, bits=precision)
        counts = torch.zeros(len(low), 2**precision, dtype=torch.int64, device=low.device)
        offsets = 2**precision * torch.arange(len(low), device=low.device)[:, None, None]
        for code in _codes(model, measured, batch):
            found = torch.bincount(
                (quantizer.levels(code) + offsets).flatten(), minlength=counts.numel()
            )
            counts += found.view_as(counts)
        entropy_bytes = entropy_bits(counts) / len(measured) / 8
        errors = _errors_with(quantizer, model, measured, batch)
        costs.append(cost(precision, entropy_bytes, errors))
    return tuple(costs)


def entropy_bits(counts: Tensor) -> float:
    """Return the bits that all symbols take, when each row of ``counts (C, K)`` has its ideal
    memoryless coder.
    """
    times = counts.double()
    return float(times.sum(1).xlogy(times.sum(1)).sum() - times.xlogy(times).sum()) / float(
        np.log(2)
    )


def _codes(model: ImageModel, pixels: Pixels, batch: int) -> Iterator[Tensor]:
    """Yield the codes of ``pixels``, ``float32 (N, C, H, W)``, with the model in evaluation
    mode.
    """
    inference = Inference(model)
    with restoring(model):
        for chosen in pixels.batches(batch):
            yield inference.encode(pixels.batch(chosen))


def _errors(model: ImageModel, pixels: Pixels, batch: int) -> np.ndarray:
    with restoring(model) as restore:
        return squared_errors(restore, pixels, batch_size=batch)


def _errors_with(quantizer: Quantizer, model: ImageModel, pixels: Pixels, batch: int) -> np.ndarray:
    """Return every image's MSE when the decoder is given the quantised code, ``float64 (N,)``."""

    def quantise(_module: nn.Module, _inputs: tuple[Tensor, ...], code: Tensor) -> Tensor:
        return quantizer.values(quantizer.levels(code))

    handle = model.network.get_submodule("encoder").register_forward_hook(quantise)
    try:
        return _errors(model, pixels, batch)
    finally:
        handle.remove()


@dataclass(frozen=True, kw_only=True)
class FileCost:
    """An image format at one setting.

    Attributes:
        format: Its name.
        setting: The quality, and for JPEG the sampling of the chrominance, in words.
        bytes: Of the whole file, mean over images.
        payload_bytes: Without what is the same in every file of this setting, mean over images:
            JPEG's tables, WebP's container. A collection could store that once; small files consist
            of little else.
        mse: Mean over images, on [0, 1] pixels.
        n: Images measured.
    """

    format: str
    setting: str
    bytes: float
    payload_bytes: float
    mse: float
    n: int


QUALITIES = (1, 3, 5, 8, 12, 18, 25, 35, 45, 55, 65, 75, 85, 90, 95, 98, 100)
"""Of JPEG and WebP, dense enough that lines between them tell what lies between."""


def jpeg_costs(pixels: Pixels, *, qualities: Sequence[int] = QUALITIES) -> tuple[FileCost, ...]:
    """Return what JPEG costs at every quality, with the chrominance sampled in full (4:4:4) and by
    half (4:2:0).
    """
    return tuple(
        _file_cost(
            pixels,
            "JPEG",
            f"quality {quality}, {sampling}",
            {"quality": quality, "subsampling": sampling},
        )
        for sampling in ("4:2:0", "4:4:4")
        for quality in qualities
    )


def webp_costs(pixels: Pixels, *, qualities: Sequence[int] = QUALITIES) -> tuple[FileCost, ...]:
    """Return what WebP costs at every quality of its lossy mode, and in its lossless mode."""
    lossy = [
        _file_cost(pixels, "WebP", f"quality {quality}", {"quality": quality})
        for quality in qualities
    ]
    return (*lossy, _file_cost(pixels, "WebP", "lossless", {"lossless": True, "quality": 100}))


def error_at(
    costs: Iterable[FileCost], available: float, *, count: Literal["bytes", "payload_bytes"]
) -> float | None:
    """Return the least error that the settings reach with ``available`` bytes an image on average.

    Between settings it lies on the lower convex hull of error against bytes: a straight piece of it
    is what using the one setting for a part of the images and the other for the rest gives.

    Args:
        costs: Of one format; the settings that are worse than a mixture of others do not count.
        available: Bytes, mean over images.
        count: Which bytes.

    Returns:
        The mean squared error; ``None`` where the cheapest setting takes more than ``available``.
    """
    hull: list[tuple[float, float]] = []
    for point in sorted((float(getattr(cost, count)), cost.mse) for cost in costs):
        if hull and point[1] >= hull[-1][1]:
            continue
        while len(hull) > 1 and _turn(hull[-2], hull[-1], point) <= 0:
            hull.pop()
        hull.append(point)
    if not hull or available < hull[0][0]:
        return None
    return float(np.interp(available, [size for size, _ in hull], [mse for _, mse in hull]))


def _turn(
    first: tuple[float, float], second: tuple[float, float], third: tuple[float, float]
) -> float:
    """Return a number above 0 where the way over the three points turns left."""
    return (second[0] - first[0]) * (third[1] - first[1]) - (second[1] - first[1]) * (
        third[0] - first[0]
    )


def _file_cost(pixels: Pixels, name: str, setting: str, options: dict[str, object]) -> FileCost:
    sizes, payloads, errors = [], [], []
    for chosen in pixels.batches(1024):
        pictures = pixels.batch(chosen).mul(255).round_().byte().permute(0, 2, 3, 1).cpu().numpy()
        for picture in pictures:
            file = io.BytesIO()
            Image.fromarray(picture).save(file, name, **options)
            data = file.getvalue()
            with Image.open(file) as opened:
                decoded = np.asarray(opened.convert("RGB"), np.float64)
            sizes.append(len(data))
            payloads.append(len(data) - _fixed_bytes(data))
            errors.append(float(np.mean((decoded - picture) ** 2)) / 255**2)
    return FileCost(
        format=name,
        setting=setting,
        bytes=float(np.mean(sizes)),
        payload_bytes=float(np.mean(payloads)),
        mse=float(np.mean(errors)),
        n=len(sizes),
    )


def _fixed_bytes(data: bytes) -> int:
    """Return how many bytes of a file only say what all files of its format, setting and size say.

    JPEG (ITU-T T.81): all up to the end of the scan's header, and the end marker; Pillow's Huffman
        tables are the
    standard's, not the image's. WebP (RFC 9649, RFC 6386): the container's and the chunk's header,
    and in lossy files the start code and the dimensions; in lossless ones the signature and the
    dimensions.
    """
    if data.startswith(b"RIFF"):
        return 20 + (7 if data[12:16] == b"VP8 " else 5)
    place = 2
    while data[place + 1] != 0xDA:  # SOS
        place += 2 + int.from_bytes(data[place + 2 : place + 4])
    return place + 2 + int.from_bytes(data[place + 2 : place + 4]) + 2
