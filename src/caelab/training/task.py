"""What a network is trained for: what becomes of a clean image before the network is given it."""

from dataclasses import dataclass

from torch import Tensor

from caelab.degrade.apply import degrade
from caelab.degrade.degradation import Degradation
from caelab.training.augmentation import augment


@dataclass(frozen=True, kw_only=True)
class Task:
    """The way from a clean image to what the network is given.

    Attributes:
        degradation: What is done to the image.
        flip: Whether training images are mirrored half of the time.
        shift: Pixels by which training images are moved at most.
        zoom: How far they are enlarged or reduced at most, see ``augment``.
        rotate: Degrees by which they are turned at most.
        tone: How far their brightness is bent at most.
    """

    degradation: Degradation
    flip: bool = False
    shift: int = 0
    zoom: float = 0.0
    rotate: float = 0.0
    tone: float = 0.0

    @property
    def plain(self) -> bool:
        """Whether the network is given the images as they are."""
        return self == Task(degradation=Degradation())

    def vary(self, images: Tensor, keys: Tensor) -> Tensor:
        """Return training images as this epoch has them, clean, ``(N, C, H, W)``; ``keys`` as for
        ``impair``.
        """
        return augment(
            images,
            keys,
            flip=self.flip,
            shift=self.shift,
            zoom=self.zoom,
            rotate=self.rotate,
            tone=self.tone,
        )

    def give(self, clean: Tensor, keys: Tensor) -> Tensor:
        """Return what the network is given for clean images, ``(N, C', H, W)``; ``keys`` as for
        ``impair``.
        """
        return degrade(clean, self.degradation, keys)
