"""Images in memory, as bytes, on the device: no per-image Python between the data and a batch."""

import numpy as np
import torch
from torch import Tensor


class DeviceImages:
    """A part of a data set, kept as ``uint8`` with the channels last.

    A quarter of float32's memory, and a gather of whole images yields the layout in which
    convolutions are fastest.
    """

    def __init__(
        self,
        flat: Tensor,
        rows: np.ndarray,
        shape: tuple[int, int, int],
        labels: Tensor | None = None,
    ) -> None:
        """Keep ``flat``.

        Args:
            flat: The pixels, ``uint8 (N, H·W·C)``.
            rows: Where in the data set the images come from, ``int64 (N,)``.
            shape: ``(C, H, W)``.
            labels: The images' classes, ``int64 (N,)`` on the same device; ``None`` where there are
                none.
        """
        self.flat = flat
        self.rows = rows
        self.shape = shape
        self.labels = labels

    @classmethod
    def of(
        cls,
        images: np.ndarray,
        rows: np.ndarray,
        *,
        device: torch.device,
        labels: np.ndarray | None = None,
    ) -> "DeviceImages":
        """Copy ``images[rows]``, of ``uint8 (N, C, H, W)``, to ``device``, and of their ``labels``
        the same rows.
        """
        channels, height, width = images.shape[1:]
        stored = np.empty((len(rows), height, width, channels), np.uint8)
        for start in range(
            0, len(rows), 512
        ):  # few enough to stay in the cache until all channels are written
            chosen = images[rows[start : start + 512]]
            for channel in range(
                channels
            ):  # numpy moves a plane at a time five times faster than whole images
                stored[start : start + 512, ..., channel] = chosen[:, channel]
        classes = (
            None if labels is None else torch.from_numpy(labels[rows].astype(np.int64)).to(device)
        )
        return cls(
            torch.from_numpy(stored.reshape(len(rows), channels * height * width)).to(device),
            rows,
            (channels, height, width),
            classes,
        )

    def at(self, positions: np.ndarray) -> "DeviceImages":
        """Return the images at these positions of this part, ``int64 (K,)``, as a part of its
        own.
        """
        chosen = torch.from_numpy(positions).to(self.device)
        labels = None if self.labels is None else self.labels.index_select(0, chosen)
        return DeviceImages(
            self.flat.index_select(0, chosen), self.rows[positions], self.shape, labels
        )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def device(self) -> torch.device:
        """Where the bytes are."""
        return self.flat.device

    def batch(self, chosen: Tensor | slice) -> Tensor:
        """Return images as ``float32 (N, C, H, W)`` in [0, 1], channels last in memory.

        Args:
            chosen: Positions within this part, an ``int64`` tensor on the same device, or a slice.
        """
        channels, height, width = self.shape
        rows = self.flat[chosen] if isinstance(chosen, slice) else self.flat.index_select(0, chosen)
        return (
            rows.to(torch.float32).div_(255).view(-1, height, width, channels).permute(0, 3, 1, 2)
        )

    def batches(self, size: int) -> list[slice]:
        """Return the slices that walk through this part in order, ``size`` images at a time."""
        return [slice(start, min(start + size, len(self))) for start in range(0, len(self), size)]


def evenly_spaced(count: int, total: int) -> np.ndarray:
    """Return ``count`` of ``total`` positions, evenly spaced from the first to the last, ``int64``.

    All positions are returned if there are no more than ``count``.

    >>> evenly_spaced(3, 9).tolist()
    [0, 4, 8]
    """
    return np.linspace(0, total - 1, min(count, total)).round().astype(np.int64)
