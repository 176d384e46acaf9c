"""Cross-entropy by pixel over many classes, when the target gives shares to only a few of them.

A batch of 128 images of 32×32 pixels has 14 million logits of 104 classes, 55 MB, and each
operation that reads all of them costs as much as a layer. So loss and gradient are computed
together for some rows at a time, while these are in the processor's cache. This takes one pass
through memory instead of seven.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

ROWS = 1024
"""Number of pixels in a chunk: with 104 classes their logits take 0.4 MB."""


def chunks(rows: Tensor) -> tuple[Tensor, ...]:
    """Split rows of shape ``(P, Q)`` into parts that fit into a CPU's cache.

    They stay whole on other devices, and in a graph that is being exported, where P is not known.
    """
    whole = rows.device.type != "cpu" or torch.compiler.is_exporting()
    return (rows,) if whole else torch.split(rows, ROWS)


def sparse_cross_entropy(logits: Tensor, classes: Tensor, shares: Tensor) -> Tensor:
    """Return the mean over pixels of −Σₖ shareₖ · log softmax(logits)[classₖ], a scalar, in nats.

    Args:
        logits: ``(N, Q, H, W)``; fastest with the channels last in memory. The gradient can be
            taken once.
        classes: ``int64 (N, K, H, W)``, in [0, Q), those of a pixel all different.
        shares: ``(N, K, H, W)``, without a gradient.
    """
    # The gradient can be taken only once, because `backward` multiplies it in place.
    mean: Tensor = _SparseCrossEntropy.apply(  # type: ignore[no-untyped-call]
        logits, classes, shares
    )
    return mean


class _SparseCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, classes: Tensor, shares: Tensor) -> Tensor:
        rows, classes, shares = (
            planes.movedim(1, -1).flatten(0, 2) for planes in (logits, classes, shares)
        )
        gradient = torch.empty_like(rows, memory_format=torch.contiguous_format)
        total = rows.new_zeros(())
        parts = zip(*map(chunks, (rows, classes, shares, gradient)), strict=True)
        for some, of_class, share, slope in parts:
            # The gradient of the cross-entropy by the logits is softmax · Σ share − share. Softmax
            # is known here, so the gradient costs one more operation now and a whole pass through
            # memory later.
            log_probability = some.log_softmax(1)
            total -= (log_probability.gather(1, of_class) * share).sum()
            torch.exp(log_probability, out=slope)
            share = share / len(rows)
            # The target names only K classes of Q, so their shares are scattered instead of stored
            # densely.
            slope.mul_(share.sum(1, keepdim=True)).scatter_add_(1, of_class, -share)
        count, _, height, width = logits.shape
        ctx.save_for_backward(gradient.view(count, height, width, -1).movedim(-1, 1))
        return total / len(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, outer: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return gradient.mul_(outer), None, None  # in place, as a copy would be one more pass
