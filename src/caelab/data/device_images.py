"""Keep images as bytes in the memory of the device, and make batches of them by one indexing."""

import math

import numpy as np
import torch
from torch import Tensor

from caelab.data.mapped_file import FileRows, mapped_file


class DeviceImages:
    """A part of a data set on a device, ``uint8`` with the channels last.

    Bytes take a quarter of the memory of float32. With the channels last in memory, convolutions
    are fastest. :class:`FileImages` are images of the same use that stay on the disk.

    Args:
        flat: Pixels of each image, ``uint8 (N, H·W·C)``.
        rows: Indices of the images in the data set, ``int64 (N,)``.
        shape: Shape of an image, ``(C, H, W)``.
        labels: Classes of the images, ``int64 (N,)`` on the same device, or ``None``.

    Attributes:
        in_file: True if the CPU reads each batch from a file.
    """

    in_file = False

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
        """Copy some images of a data set to a device, or leave them in their file.

        The images of an image cache stay in its file, and batches are read when they are needed.

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
        classes = None
        if labels is not None:
            classes = torch.from_numpy(labels[rows].astype(np.int64)).to(device)
        if (file := mapped_file(images)) is not None:
            opened = FileRows(file, channels * height * width)
            return FileImages(opened, rows, (channels, height, width), classes, device)
        stored = np.empty((len(rows), height, width, channels), np.uint8)
        # NumPy copies single planes five times as fast as it transposes whole images. A group of
        # 512 images stays in the cache until all its planes are copied.
        for start in range(0, len(rows), 512):
            chosen = images[rows[start : start + 512]]
            for channel in range(channels):
                stored[start : start + 512, ..., channel] = chosen[:, channel]
        flat = torch.from_numpy(stored.reshape(len(rows), channels * height * width))
        return cls(flat.to(device), rows, (channels, height, width), classes)

    def at(self, indices: np.ndarray) -> "DeviceImages":
        """Return some images of this part by their indices within it, ``int64 (K,)``."""
        chosen = torch.from_numpy(indices).to(self.device)
        labels = None if self.labels is None else self.labels[chosen]
        return self._part(chosen, self.rows[indices], labels)

    def _part(self, chosen: Tensor, rows: np.ndarray, labels: Tensor | None) -> "DeviceImages":
        return DeviceImages(self.flat[chosen], rows, self.shape, labels)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def device(self) -> torch.device:
        """Device whose memory holds the bytes."""
        return self.flat.device

    def located(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Return a tensor of pixels, and where the chosen images are in it.

        Args:
            chosen: Indices of N images within this part, ``int64 (N,)`` on the same device.

        Returns:
            Pixels ``uint8 (M, H·W·C)``, and indices of its rows, ``int64 (N,)``. Nothing is copied
            if the images are in memory.
        """
        return self.flat, chosen

    def pixels(self, chosen: Tensor | slice) -> Tensor:
        """Return the bytes of some images, ``uint8 (N, H·W·C)``.

        Args:
            chosen: Indices of images within this part, ``int64 (N,)`` on the same device, or a
                slice.
        """
        # A slice copies no bytes; `index_select` copies each row as a whole.
        return self.flat[chosen] if isinstance(chosen, slice) else self.flat.index_select(0, chosen)

    def batch(self, chosen: Tensor | slice) -> Tensor:
        """Return a batch of images, ``float32 (N, C, H, W)`` in [0, 1], channels last in memory.

        Args:
            chosen: Indices of images within this part, ``int64 (N,)`` on the same device, or a
                slice.
        """
        channels, height, width = self.shape
        unit = self.pixels(chosen).to(torch.float32).div_(255)
        return unit.view(-1, height, width, channels).permute(0, 3, 1, 2)

    def batches(self, size: int) -> list[slice]:
        """Return slices that cover this part in order; all but the last hold ``size`` images."""
        return [slice(start, min(start + size, len(self))) for start in range(0, len(self), size)]


class FileImages(DeviceImages):
    """A part of a data set that stays in a file; batches are read when they are needed.

    Args:
        file: Rows of the file, one for each image of the data set.
        rows: Indices of this part's images in the file, ``int64 (N,)``.
        shape: Shape of an image, ``(C, H, W)``.
        labels: Classes of the images, ``int64 (N,)`` on the device, or ``None``.
        device: Device to which batches are copied.
    """

    in_file = True

    def __init__(
        self,
        file: FileRows,
        rows: np.ndarray,
        shape: tuple[int, int, int],
        labels: Tensor | None,
        device: torch.device,
    ) -> None:
        empty = torch.empty(0, math.prod(shape), dtype=torch.uint8, device=device)
        super().__init__(empty, rows, shape, labels)
        self._file = file

    def _part(self, _: Tensor, rows: np.ndarray, labels: Tensor | None) -> "DeviceImages":
        return FileImages(self._file, rows, self.shape, labels, self.device)

    def located(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Return the bytes of the chosen images alone, ``uint8 (N, H·W·C)``, and 0 to N - 1."""
        return self.pixels(chosen), torch.arange(len(chosen), device=self.device)

    def pixels(self, chosen: Tensor | slice) -> Tensor:
        """Read the bytes of some images, ``uint8 (N, H·W·C)``, and copy them to the device."""
        rows = self.rows[chosen if isinstance(chosen, slice) else chosen.cpu().numpy()]
        return torch.from_numpy(self._file.read(rows)).to(self.device)
