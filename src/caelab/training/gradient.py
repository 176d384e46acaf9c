"""The gradient of a batch's loss; on a CPU, threads share the batch out."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caelab.data.pixels import Pixels
from caelab.device import autocast
from caelab.models.image_model import ImageModel
from caelab.models.targets import RgbTarget
from caelab.networks.modules import Dropout, drawing_from
from caelab.networks.network_module import Output
from caelab.randomness import generator_for
from caelab.training.color_difference import color_difference, fourth_of_pixels
from caelab.training.losses import Loss, Terms, mean_squared_error
from caelab.training.task import Task

SMALLEST_SHARE = 16
"""Images that are worth a thread of their own, and that fill the lanes of the compiled loops."""


class BatchGradient:
    """Computes a batch's loss terms, and leaves their sum's gradient in the parameters.

    On a CPU each thread takes its share of the batch through the whole network and back, alone,
    instead of all of them meeting in every operation: small operations do not pay for meeting, and
    where another program takes a core away, waiting for each other at every one of them costs many
    times what that program takes. The shares' gradients are added in a fixed order, so the same
    number of threads gives the same bits. Networks with batch normalisation, whose statistics are
    the whole batch's, are not shared out, nor is anything on another device. Small networks go
    through compiled loops (``networks.lanes``), where there is a C compiler; plain autoencoders in
    one go, from bytes.

    Use it as a context manager: the threads end with the block.

    Args:
        model: What is trained.
        loss: Its terms are added up.
        task: What becomes of the images before the network is given them.
        images: What batches are taken from.
        batch: Images in a batch.
        precision: What convolutions compute in.
        seed: Of the run; dropout draws from it.
        label_weight: What the cross-entropy of the labels, in nats, counts beside the loss, where
            the network has a ``classify``.
        color_weight: What the color difference between the answer and the clean image counts beside
            the loss. It is measured on a fourth of the pixels, another one at every step.
    """

    def __init__(
        self,
        model: ImageModel,
        loss: Loss,
        task: Task,
        images: Pixels,
        *,
        batch: int,
        precision: torch.dtype,
        seed: int,
        label_weight: float = 0.0,
        color_weight: float = 0.0,
    ) -> None:
        self._model, self._loss, self._task, self._images = model, loss, task, images
        self._precision, self._seed, self._label_weight = precision, seed, label_weight
        self._color_weight = color_weight
        self._parameters = list(model.parameters())
        available = torch.get_num_threads()
        alone = images.device.type != "cpu" or any(
            isinstance(part, nn.BatchNorm2d) for part in model.modules()
        )
        self.shares = 1 if alone else max(1, min(available, batch // SMALLEST_SHARE))
        self._each = available // self.shares
        # PyTorch's number of threads is the calling thread's own.
        self._pool = ThreadPoolExecutor(
            max(1, self.shares - 1),
            "share",
            initializer=torch.set_num_threads,
            initargs=(self._each,),
        )
        channels, height, width = images.shape
        given = (task.degradation.channels(channels), height, width)
        suits = not alone and precision == torch.float32 and batch >= SMALLEST_SHARE
        compiled = model.compiled(given) if suits else None
        self._compiled = compiled
        reproduces = (
            task.plain and loss is mean_squared_error and isinstance(model.target, RgbTarget)
        )
        one_go = reproduces and not color_weight and compiled is not None and compiled.keeps_shape
        self._learner = compiled if one_go else None

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self._images.device

    @property
    def of_tensors_alone(self) -> bool:
        """Whether the operations are the same for every batch, and none has a part that comes from
        the host.

        Masks of dropout do, as do JPEGs; and the color difference is measured on other pixels at
        each step.
        """
        drops = any(
            isinstance(part, Dropout) and part.probability for part in self._model.modules()
        )
        return not drops and not self._color_weight and not self._task.degradation.on_host

    def __enter__(self) -> "BatchGradient":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown()

    def __call__(self, chosen: Tensor, keys: Tensor, *moment: int) -> Terms:
        """Return the batch's loss terms, and ``mse`` of its clipped images in any case, without a
        graph.

        Args:
            chosen: Positions of the batch's images, ``int64 (N,)``.
            keys: Their keys, ``int64 (N,)``: all that chance does to the images depends on.
            moment: The epoch and the step, on which dropout depends.
        """
        if self.shares == 1:
            terms, gradients = self._share(chosen, keys, (*moment, 0))
        else:
            parts = chosen.tensor_split(self.shares)
            moments = [(*moment, share) for share in range(self.shares)]
            shares = list(zip(parts, keys.tensor_split(self.shares), moments, strict=True))
            others = [self._pool.submit(self._share, *share) for share in shares[1:]]
            with threads(self._each):
                answers = [self._share(*shares[0]), *(other.result() for other in others)]
            weights = [len(part) / len(chosen) for part in parts]
            told = [terms for terms, _ in answers]
            terms = {
                name: torch.stack([one[name] for one in told]) @ torch.tensor(weights)
                for name in told[0]
            }
            gradients = _weighted_sum([gradients for _, gradients in answers], weights)
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        return terms

    def _share(
        self, chosen: Tensor, keys: Tensor, moment: tuple[int, ...]
    ) -> tuple[Terms, tuple[Tensor, ...]]:
        if self._learner is not None:
            error, gradients = self._learner.mse_gradient(self._images.flat, chosen)
            return {"mse": torch.tensor(error)}, gradients
        clean = self._task.vary(self._images.batch(chosen), keys)
        given = self._task.give(clean, keys)
        generator = generator_for(self._seed, "dropout", *moment)
        with autocast(clean.device, self._precision), drawing_from(generator):
            output, logits = (
                self._model.forward_with_logits(given)
                if self._compiled is None
                else Output(self._compiled(given))
            )
        target = self._model.target
        terms = self._loss(output, target.target(clean))
        terms = {target.loss_prefix + name: term for name, term in terms.items()}
        if logits:
            terms["labels"] = self._label_weight * self._label_error(logits, chosen)
        if self._color_weight:
            seen, of_given, of_clean = (
                fourth_of_pixels(each, moment[-2]) for each in (output, given, clean)
            )
            difference = color_difference(target.image(seen, of_given), of_clean)
            terms["color_difference"] = self._color_weight * difference
        gradients = torch.autograd.grad(torch.stack(list(terms.values())).sum(), self._parameters)
        terms = {name: term.detach() for name, term in terms.items()}
        if "mse" not in terms:
            terms["mse"] = F.mse_loss(target.image(output.detach(), given), clean)
        return terms, gradients

    def _label_error(self, logits: tuple[Tensor, ...], chosen: Tensor) -> Tensor:
        """Return the cross-entropy of the labels, in nats, summed over ``classify`` layers."""
        assert self._images.labels is not None
        labels = self._images.labels.index_select(0, chosen)
        return torch.stack([F.cross_entropy(each.float(), labels) for each in logits]).sum()


def _weighted_sum(shares: list[tuple[Tensor, ...]], weights: list[float]) -> tuple[Tensor, ...]:
    total = torch._foreach_mul(shares[0], weights[0])
    for share, weight in zip(shares[1:], weights[1:], strict=True):
        torch._foreach_add_(total, share, alpha=weight)
    return tuple(total)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let the calling thread's operations use ``count`` threads while the block runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
