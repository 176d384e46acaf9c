"""One step of training: the gradient of a batch's loss, and the update.

On a CPU the threads divide each batch among themselves. On a CUDA device a step is recorded once
and replayed.
"""

import logging
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from caelab.data.device_images import DeviceImages
from caelab.degrade.apply import degrade
from caelab.degrade.degradation import Degradation
from caelab.device import autocast, run_shares, threads
from caelab.models.image_model import ImageModel
from caelab.models.targets import RgbTarget
from caelab.networks.modules import Dropout, dropout_generator
from caelab.networks.network_module import Output
from caelab.randomness import generator_for
from caelab.training.augmentation import augment
from caelab.training.color_difference import color_difference, fourth_of_pixels
from caelab.training.config import AugmentationConfig, TrainingConfig
from caelab.training.losses import MeanSquaredError, make_loss
from caelab.training.soap import SOAP

_log = logging.getLogger(__name__)

Terms = dict[str, Tensor]
"""Terms of the loss by name, as detached scalars; ``mse`` is the error of the clipped images."""

MIN_SHARE = 16
"""Fewest images for which one more thread is worth its cost; they also fill the SIMD kernel's
lanes."""

MIN_STEPS_BEFORE_RECORDING = 3
"""Steps that are run before one is recorded: libraries allocate memory in their first calls."""

Recorder = Callable[[Callable[[], Terms]], Callable[[], Terms]]
"""Records a function's operations without running them; the result runs them on the same tensors.
"""


class BatchGradient:
    """Computes the loss of a batch and its gradient, which it leaves in the parameters.

    On a CPU each thread takes a share of the batch through the whole network and back. If the
    threads divided each operation instead, they would wait for each other hundreds of times in a
    step. Small operations are too short for that, above all while another program uses a core. The
    shares' gradients are added in a fixed order, so the same number of threads gives the same bits.
    A batch is not divided if the network has batch normalization, which needs the statistics of the
    whole batch, or if the device is no CPU.

    Small networks run in the SIMD kernel if there is a C compiler. For a plain autoencoder with the
    squared error, one call leads from bytes to the gradient.

    Args:
        model: What is trained.
        images: The training images.
        config: The run's configuration.
        precision: Number format of convolutions.

    Attributes:
        parameters: The parameters of the model.
        shares: Number of shares of a batch.
        recordable: True if the operations are the same for every batch, and none of their inputs
            comes from the host. Dropout's masks and JPEGs come from the host, and the color
            difference is measured on other pixels in each step.
    """

    def __init__(
        self,
        model: ImageModel,
        images: DeviceImages,
        config: TrainingConfig,
        precision: torch.dtype,
    ) -> None:
        self._model, self._images, self._config = model, images, config
        self._precision, self._loss = precision, make_loss(config.loss)
        self.parameters = list(model.parameters())
        # Batch normalization in training needs the mean over the whole batch, which no share of it
        # has.
        threads, on_cpu = torch.get_num_threads(), images.device.type == "cpu"
        whole = not on_cpu or any(isinstance(part, nn.BatchNorm2d) for part in model.modules())
        self.shares = 1 if whole else max(1, min(threads, config.batch_size // MIN_SHARE))
        self._threads_each = threads // self.shares
        # A CUDA graph repeats the same operations on the same memory. Numbers that the host
        # computes for each batch would stay those of the first batch.
        self.recordable = not (
            config.loss.color_loss_weight
            or config.degradation.on_host
            or any(isinstance(part, Dropout) and part.probability for part in model.modules())
        )
        channels, height, width = images.shape
        # A smaller batch would leave vector lanes empty, and the C program knows float32 only.
        self._compiled = None
        if not whole and precision == torch.float32 and config.batch_size >= MIN_SHARE:
            self._compiled = model.compiled((config.degradation.channels(channels), height, width))
        # In one call, the C program can only reconstruct the bytes and give the squared error.
        self._one_call = (
            self._compiled is not None
            and self._compiled.keeps_shape
            and config.degradation == Degradation()
            and config.augmentation == AugmentationConfig()
            and type(self._loss) is MeanSquaredError
            and isinstance(model.target, RgbTarget)
            and not config.loss.color_loss_weight
        )

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self._images.device

    def __call__(self, chosen: Tensor, keys: Tensor, *moment: int) -> Terms:
        """Return the loss of a batch; its gradient is in ``parameter.grad`` afterwards.

        Args:
            chosen: Indices of the batch's images, ``int64 (N,)``.
            keys: Keys of these images in this epoch, ``int64 (N,)``.
            moment: Epoch and step, on which dropout depends.
        """
        parts = chosen.tensor_split(self.shares)
        moments = [(*moment, share) for share in range(self.shares)]
        shares = list(zip(parts, keys.tensor_split(self.shares), moments, strict=True))
        results = run_shares(self._share, shares, self._threads_each)
        terms, gradients = results[0]
        if self.shares > 1:
            # Shares may differ by one image, so a plain mean of their means would be wrong.
            weights = [len(part) / len(chosen) for part in parts]
            terms = {
                name: torch.stack([share[name] for share, _ in results]) @ torch.tensor(weights)
                for name in terms
            }
            # A sum of floats depends on the order of its terms. The order here is fixed, whichever
            # thread finishes first.
            total = torch._foreach_mul(gradients, weights[0])
            for (_, share), weight in zip(results[1:], weights[1:], strict=True):
                torch._foreach_add_(total, share, alpha=weight)
            gradients = tuple(total)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        return terms

    def _share(
        self, chosen: Tensor, keys: Tensor, moment: tuple[int, ...]
    ) -> tuple[Terms, tuple[Tensor, ...]]:
        """Return the terms of a share of the batch, and the gradient by the parameters."""
        config, target = self._config, self._model.target
        if self._one_call and self._compiled is not None:
            error, gradients = self._compiled.mse_gradient(self._images.flat, chosen)
            return {"mse": torch.tensor(error)}, gradients
        clean = augment(self._images.batch(chosen), keys, config.augmentation)
        inputs = degrade(clean, config.degradation, keys)
        generator = generator_for(config.seed, "dropout", *moment)
        with autocast(clean.device, self._precision), dropout_generator(generator):
            output, logits = (
                self._model.forward_with_logits(inputs)
                if self._compiled is None
                else Output(self._compiled(inputs))
            )
        loss = self._loss(output, target.target(clean))
        terms = {target.loss_prefix + self._loss.name: loss}
        if logits:
            assert self._images.labels is not None
            labels = self._images.labels.index_select(0, chosen)
            # In nats and in float32, summed over the `classify` layers.
            errors = torch.stack([F.cross_entropy(each.float(), labels) for each in logits])
            terms["labels"] = config.loss.class_loss_weight * errors.sum()
        if config.loss.color_loss_weight:
            some, some_inputs, some_clean = (
                fourth_of_pixels(each, moment[-2]) for each in (output, inputs, clean)
            )
            difference = color_difference(target.image(some, some_inputs), some_clean)
            terms["color_difference"] = config.loss.color_loss_weight * difference
        # Not `backward()`: shares of several threads would add to the same `parameter.grad`.
        gradients = torch.autograd.grad(torch.stack(list(terms.values())).sum(), self.parameters)
        terms = {name: term.detach() for name, term in terms.items()}
        if "mse" not in terms:
            # Recorded for all losses alike, so that the curves of their runs can be compared.
            terms["mse"] = F.mse_loss(target.image(output.detach(), inputs), clean)
        return terms, gradients


class Step:
    """Takes steps of training: ``terms = step(chosen, keys, epoch, number)``.

    Each operation that Python asks of a GPU costs some microseconds, and a small network's step has
    hundreds of operations that keep the GPU busy for less time than that. Steps that are alike are
    therefore recorded as a CUDA graph, which is launched with one call. SOAP's steps between two
    refreshes of its bases are alike if only the images' indices, their keys and ``SOAP.numbers``
    come from the host: these are copied to fixed tensors on the device. All other steps, and those
    on other devices, are run operation by operation.

    Args:
        gradient: Gradient of a batch.
        optimizer: Optimizer of its parameters.
        grad_clip: Largest norm of the gradient over all parameters, or ``None``.
        threads: CPU threads of the update.
        record: Recorder; by default :func:`cuda_graph` if the images are on a CUDA device.
    """

    def __init__(
        self,
        gradient: BatchGradient,
        optimizer: Optimizer,
        grad_clip: float | None,
        threads: int,
        record: Recorder | None = None,
    ) -> None:
        self._gradient, self._optimizer = gradient, optimizer
        self._grad_clip, self._threads = grad_clip, threads
        if record is None and gradient.device.type == "cuda":
            record = cuda_graph
        self._record = record if gradient.recordable and isinstance(optimizer, SOAP) else None
        self._steps = 0
        self._replay: Callable[[], Terms] | None = None
        self._inputs: tuple[Tensor, ...] = ()

    def __call__(self, chosen: Tensor, keys: Tensor, epoch: int, number: int) -> Terms:
        """Train on a batch and return its loss, as :class:`BatchGradient` does.

        Args:
            chosen: Indices of the batch's images, ``int64 (N,)``.
            keys: Keys of these images in this epoch, ``int64 (N,)``.
            epoch: Index of the epoch.
            number: Index of the step in the epoch.
        """
        optimizer, enough = self._optimizer, self._steps >= MIN_STEPS_BEFORE_RECORDING
        if self._record and enough and isinstance(optimizer, SOAP) and optimizer.steady:
            return self._run_recorded(self._record, optimizer, chosen, keys)
        self._steps += 1
        terms = self._gradient(chosen, keys, epoch, number)
        with threads(self._threads):
            self._clip()
            optimizer.step()
        return terms

    def _run_recorded(
        self, record: Recorder, optimizer: SOAP, chosen: Tensor, keys: Tensor
    ) -> Terms:
        # Counting happens on the host, outside what is recorded.
        optimizer.count()
        values = (chosen, keys, optimizer.numbers)
        # A graph reads and writes the same memory at every replay, so new values are copied there.
        self._inputs = self._inputs or tuple(each.to(chosen.device, copy=True) for each in values)
        for fixed, value in zip(self._inputs, values, strict=True):
            fixed.copy_(value, non_blocking=True)

        def arithmetic() -> Terms:
            chosen, keys, numbers = self._inputs
            terms = self._gradient(chosen, keys, 0, 0)
            self._clip()
            optimizer.update(numbers)
            return terms

        if self._replay is None:
            try:
                self._replay = record(arithmetic)
            except RuntimeError as error:
                _log.warning("the step is not recorded as a CUDA graph, and so slower: %s", error)
                self._record = None
                return arithmetic()
        return self._replay()

    def _clip(self) -> None:
        if self._grad_clip is not None:
            # The norm is that of the whole batch's gradient, after the shares were added.
            torch.nn.utils.clip_grad_norm_(self._gradient.parameters, self._grad_clip)


def cuda_graph(function: Callable[[], Terms]) -> Callable[[], Terms]:
    """Record a function as a CUDA graph and return its replay.

    The function is not run. Each replay returns the same tensors, with new values.

    Raises:
        RuntimeError: An operation cannot be recorded.
    """
    # Its tensors live in a memory pool of their own, so that nothing else is written there.
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        terms = function()

    def replay() -> Terms:
        graph.replay()
        return terms

    return replay
