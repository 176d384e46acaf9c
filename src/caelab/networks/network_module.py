"""Modules that join layers into a network: sequences, brackets, and the whole network."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from caelab.errors import InputError
from caelab.networks.ast import Network
from caelab.networks.modules import ActivationLayer, Classifier

Part = Literal["whole", "encoder", "decoder"]
"""Part of a network: all layers, the layers before the code, or the layers after the code."""


class Output(NamedTuple):
    """What a network returns for N images.

    Attributes:
        image: Output images, (N, C, H, W).
        logits: Logits of every ``classify`` layer, (N, classes) each, in the order of the text.
    """

    image: Tensor
    logits: tuple[Tensor, ...] = ()


class Sequence(nn.Sequential):
    """Layers that run one after the other."""

    def forward(self, x: Tensor) -> Tensor:
        """Run all layers, (N, C, H, W) → (N, C', H', W')."""
        y: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return self.join(x, y)

    def forward_with_logits(self, x: Tensor) -> Output:
        """Return the output for x, (N, C, H, W), and the logits of all ``classify`` layers."""
        y = x
        logits: tuple[Tensor, ...] = ()
        for layer in self:
            match layer:
                case Sequence():
                    y, inner = layer.forward_with_logits(y)
                    logits += inner
                    continue
                # A classifier layer returns its input, so its logits are computed from that input.
                case ActivationLayer(function=Classifier() as classifier):
                    logits += (classifier.logits(y),)
            y = layer(y)
        return Output(self.join(x, y), logits)

    def join(self, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002 - brackets use x
        """Combine the input x, (N, C, H, W), with the last layer's output y: here, return y."""
        return y


class ResidualBlock(Sequence):
    """Residual block ``( … )``: x + f(x), where x and f(x) have the same shape."""

    def join(self, x: Tensor, y: Tensor) -> Tensor:
        """Return x + y, (N, C, H, W) each."""
        return x + y


class SkipBlock(Sequence):
    """Skip block ``[ … ]``: the channels of x, followed by the channels of f(x)."""

    def join(self, x: Tensor, y: Tensor) -> Tensor:
        """Concatenate x (N, C, H, W) and y (N, C', H, W) over channels: (N, C + C', H, W)."""
        # Only the gradient of y goes back through the layers in the bracket, so only this gradient
        # must be fast to read.
        if y.requires_grad:
            y.register_hook(_compact)  # type: ignore[no-untyped-call]
        return torch.cat([x, y], 1)


def _compact(gradient: Tensor) -> Tensor:
    # The gradient of one part of a concatenation is not contiguous, and therefore slow to read.
    return gradient.contiguous(memory_format=torch.channels_last)


class NetworkModule(Sequence):
    """A whole network, from images (N, C, H, W) to images (N, C', H', W').

    The keys of the state dict contain the positions of layers, counted from 0 with repetitions
    written out, such as ``encoder.2.weight`` or ``decoder.1.bias``.

    Attributes:
        tree: The network's tree.

    Args:
        tree: The network's tree.
        parts: Name → layers. The names are ``encoder`` and ``decoder`` if a ``|`` outside all
            brackets separates them, otherwise ``layers``.
    """

    def __init__(self, tree: Network, parts: Mapping[str, Sequence]) -> None:
        super().__init__()
        self.tree = tree
        for name, part in parts.items():
            self.add_module(name, part)

    def layers_of(self, part: Part) -> list[nn.Module]:
        """Return the layers of a part, in order; a bracket counts as one layer."""
        # The layers of encoder and decoder follow each other, because the code mark computes
        # nothing.
        parts = self.children() if part == "whole" else [self.part(part)]
        return [layer for each in parts for layer in each.children()]

    def part(self, name: Literal["encoder", "decoder"]) -> Sequence:
        """Return the encoder, from images to the code, or the decoder, from the code to images.

        Raises:
            InputError: The text has no ``|``, or has it inside a bracket.
        """
        part = self._modules.get(name)
        if isinstance(part, Sequence):
            return part
        why = "a bracket runs around its '|'" if "|" in str(self.tree) else "no '|' marks its code"
        raise InputError(
            f"the network {self.tree} cannot be split into encoder and decoder: {why}."
        )
