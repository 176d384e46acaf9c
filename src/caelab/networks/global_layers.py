"""Layers by which every place learns of the whole image: images (N, C, H, W) in, the same shape
out.

                  ┌─ mean over H×W ─ linear ──────────────────────────── + ─►   context
    x (N,C,H,W) ──┼─ mean over H×W ─ linear ─ ReLU ─ linear ─ sigmoid ── × ─►   excite
                  └─ queries, keys, values ─ softmax(qkᵀ/√d) v ─ linear ────►   attend

Their linear maps are ``ParametricLayer`` layers without activation, so that ``initialise`` treats them
like any other.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caelab.networks.modules import Convolution, Dense


class GlobalContext(nn.Module):
    """``context``: x + W·mean(x) + b, the mean over all positions, the sum at every position.

    This is a 1×1 convolution of x and its mean side by side, with the identity for x: the fusion of
    global features in ParseNet (Liu et al. 2015, arXiv 1506.04579) and in the colorizer of Iizuka
    et al. (2016, ACM TOG 35(4) 110).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = Dense(channels, (channels, 1, 1), activation="none")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        y: Tensor = self.linear(x.mean((2, 3), keepdim=True))
        return x + y


class SqueezeExcitation(nn.Module):
    """``excite``: x · σ(W₂ ReLU(W₁·mean(x) + b₁) + b₂), a gate for every channel (Hu et al. 2018,
    arXiv 1709.01507).

    There are C / ``reduction`` hidden units; ``reduction`` divides C.
    """

    def __init__(self, channels: int, *, reduction: int) -> None:
        super().__init__()
        hidden = channels // reduction
        self.squeeze = Dense(channels, (hidden, 1, 1), activation="none")
        self.excite = Dense(hidden, (channels, 1, 1), activation="none")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        return x * torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))


class SelfAttention(nn.Module):
    """``attend``: multi-head self-attention over the H·W positions (Vaswani et al. 2017, arXiv
    1706.03762).

    Each head has C / ``heads`` channels; ``heads`` divides C. There is no encoding of positions:
    convolutions with zero padding around it know where they are. It neither normalises x nor adds
    it back; ``(norm attend)`` does, the form that diffusion models use at low resolutions (Ho et
    al. 2020, arXiv 2006.11239).
    """

    def __init__(self, channels: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.projections = Convolution(
            channels, 3 * channels, kernel=1, padding=(0, 0), activation="none"
        )
        self.output = Convolution(channels, channels, kernel=1, padding=(0, 0), activation="none")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        count, channels, height, width = x.shape
        # Queries, keys and values, each (N, heads, H·W, C / heads); where channels are last these
        # are views.
        projected = self.projections(x).permute(0, 2, 3, 1)
        projected = projected.reshape(count, height * width, 3, self.heads, channels // self.heads)
        queries, keys, values = projected.permute(2, 0, 3, 1, 4).unbind()
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        mixed = mixed.transpose(1, 2).reshape(count, height, width, channels).permute(0, 3, 1, 2)
        y: Tensor = self.output(mixed)
        return y
