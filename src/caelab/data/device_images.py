"""Keep images as bytes in the memory of the device, and make batches of them by one indexing."""

import numpy as np
import torch
from torch import Tensor


class DeviceImages:
    """A part of a data set on a device, ``uint8`` with the channels last.

    Bytes take a quarter of the memory of float32. With the channels last in memory, convolutions
    are fastest.

    Args:
        flat: Pixels of each image, ``uint8 (N, H·W·C)``.
        rows: Indices of the images in the data set, ``int64 (N,)``.
        shape: Shape of an image, ``(C, H, W)``.
        labels: Classes of the images, ``int64 (N,)`` on the same device, or ``None``.
    """

    def __init__(
        self,
        flat: Tensor,
        rows: np.ndarray,
        shape: tuple[int, int, int],
        labels: Tensor | None = None,
    ) -> None:
        self.flat, self.rows, self.shape, self.labels = flat, rows, shape, labels

    @classmethod
    def of(
        cls,
        images: np.ndarray,
        rows: np.ndarray,
        *,
        device: torch.device,
        labels: np.ndarray | None = None,
    ) -> "DeviceImages":
        """Copy some images of a data set to a device.

        Args:
            images: All images, ``uint8 (M, C, H, W)``.
            rows: Indices of the images to copy, ``int64 (N,)``.
            device: Device to copy to.
            labels: Classes of all images, ``int64 (M,)``, or ``None``.

        >>> images = np.full((9, 3, 4, 4), 255, np.uint8)
        >>> part = DeviceImages.of(images, np.array([2, 5, 8]), device=torch.device("cpu"))
        >>> len(part), part.shape, part.batch(slice(2)).mean()
        (3, (3, 4, 4), tensor(1.))
        """
        channels, height, width = images.shape[1:]
        stored = np.empty((len(rows), height, width, channels), np.uint8)
        # NumPy copies single planes five times as fast as it transposes whole images. A group of
        # 512 images stays in the cache until all its planes are copied.
        for start in range(0, len(rows), 512):
            chosen = images[rows[start : start + 512]]
            for channel in range(channels):
                stored[start : start + 512, ..., channel] = chosen[:, channel]
        flat = torch.from_numpy(stored.reshape(len(rows), channels * height * width))
        classes = None
        if labels is not None:
            classes = torch.from_numpy(labels[rows].astype(np.int64)).to(device)
        return cls(flat.to(device), rows, (channels, height, width), classes)

    def at(self, indices: np.ndarray) -> "DeviceImages":
        """Return some images of this part by their indices within it, ``int64 (K,)``."""
        chosen = torch.from_numpy(indices).to(self.device)
        labels = None if self.labels is None else self.labels[chosen]
        return DeviceImages(self.flat[chosen], self.rows[indices], self.shape, labels)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def device(self) -> torch.device:
        """Device whose memory holds the bytes."""
        return self.flat.device

    def batch(self, chosen: Tensor | slice) -> Tensor:
        """Return a batch of images, ``float32 (N, C, H, W)`` in [0, 1], channels last in memory.

        Args:
            chosen: Indices of images within this part, ``int64 (N,)`` on the same device, or a
                slice.
        """
        channels, height, width = self.shape
        # A slice copies no bytes; `index_select` copies each row as a whole.
        rows = self.flat[chosen] if isinstance(chosen, slice) else self.flat.index_select(0, chosen)
        unit = rows.to(torch.float32).div_(255)
        return unit.view(-1, height, width, channels).permute(0, 3, 1, 2)

    def batches(self, size: int) -> list[slice]:
        """Return slices that cover this part in order; all but the last hold ``size`` images."""
        return [slice(start, min(start + size, len(self))) for start in range(0, len(self), size)]
