"""Cross-entropy of every pixel over many classes, if only a few classes have a share in the target.

With 104 classes, a batch of 128 images of 32×32 pixels has 14 million logits (55 MB), and each
operation that reads all of them costs as much as a layer. So the loss and its gradient are computed
together, for ``ROWS`` pixels at a time, while the logits of these pixels are in the processor's
cache. This takes one pass through memory instead of seven.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

ROWS = 1024
"""Number of pixels in a chunk. With 104 classes, the logits of a chunk take 0.4 MB."""


def chunks(rows: Tensor) -> tuple[Tensor, ...]:
    """Split ``rows``, of shape (P, Q), into chunks of at most ``ROWS`` rows for a CPU's cache.

    On other devices, the only chunk is ``rows``. The same holds while a graph is exported, because
    P is unknown then.
    """
    whole = rows.device.type != "cpu" or torch.compiler.is_exporting()
    return (rows,) if whole else torch.split(rows, ROWS)


def sparse_cross_entropy(logits: Tensor, classes: Tensor, shares: Tensor) -> Tensor:
    """Return the mean over pixels of −Σₖ shareₖ · log softmax(logits)[classₖ], a scalar, in nats.

    Args:
        logits: ``(N, Q, H, W)``; fastest with the channels last in memory. The gradient can be
            taken once.
        classes: Classes with a share, ``int64 (N, K, H, W)``, in [0, Q). The K classes of a pixel
            are all different.
        shares: Shares of the classes, ``(N, K, H, W)``. They get no gradient.
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
        for some_rows, some_classes, some_shares, some_gradient in parts:
            # The gradient of a pixel's cross-entropy with respect to its logits is
            # softmax · Σ share − share. It is computed here, where the softmax is in the cache:
            # computing it in `backward` would take another pass through memory.
            log_probability = some_rows.log_softmax(1)
            total -= (log_probability.gather(1, some_classes) * some_shares).sum()
            torch.exp(log_probability, out=some_gradient)
            mean_shares = some_shares / len(rows)
            some_gradient.mul_(mean_shares.sum(1, keepdim=True))
            # Only K of the Q classes have a share, so no tensor of the shares of all classes is
            # needed.
            some_gradient.scatter_add_(1, some_classes, -mean_shares)
        count, _, height, width = logits.shape
        ctx.save_for_backward(gradient.view(count, height, width, -1).movedim(-1, 1))
        return total / len(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, outer: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors  # type: ignore[attr-defined]
        # In place, because a copy would take another pass through memory.
        return gradient.mul_(outer), None, None
