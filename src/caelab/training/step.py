"""One step of training: compute the gradient of a batch's loss, and update the parameters.

On a CPU each thread computes the gradient of a part of the batch. On a CUDA device one step is
recorded as a CUDA graph, which later steps replay.
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
from caelab.training.process_group import ALONE, ProcessGroup
from caelab.training.soap import SOAP

_log = logging.getLogger(__name__)

Terms = dict[str, Tensor]
"""Terms of the loss by name, as detached scalars. ``mse`` is always included: it is the loss itself
if images are compared by squared error, otherwise the squared error of the clipped images."""

MIN_SHARE = 16
"""Smallest number of images per thread: with fewer images, another thread would cost more time than
it saves. This number of images also fills the vector lanes of the SIMD kernel."""

MIN_STEPS_BEFORE_RECORDING = 3
"""Number of steps that run before a step is recorded. Libraries allocate memory in their first
calls, and a recording must not contain these allocations."""

Recorder = Callable[[Callable[[], Terms]], Callable[[], Terms]]
"""Function that records the operations of its argument without running them. Its result is a
function that runs the recorded operations on the same tensors."""


class BatchGradient:
    """Computes the loss of a batch, and stores its gradient in ``grad`` of each parameter.

    On a CPU the batch is divided into shares, and each thread computes the gradient of one share.
    If the threads divided each operation instead, they would wait for each other hundreds of times
    in a step, and waiting takes longer than a small operation. The gradients of the shares are
    added in a fixed order, so the same number of threads gives the same bits. The batch is not
    divided on other devices, or if the network has batch normalization, which needs the mean over
    the whole batch.

    Small networks run in the SIMD kernel (``caelab.kernels.simd``) if there is a C compiler. If an
    autoencoder without degradation and augmentation minimizes the squared error, one call of the
    kernel computes the gradient from the images' bytes.

    Args:
        model: Model that is trained.
        images: The training images.
        config: The run's configuration.
        precision: Number format of convolutions, ``torch.float32`` or ``torch.bfloat16``.
        group: Processes that train together. Each computes the gradient of its part of a batch.

    Attributes:
        parameters: The parameters of the model.
        shares: Number of shares into which this process's part of a batch is divided.
        recordable: True if every batch takes the same operations, and the CPU computes none of
            their inputs. It is false with dropout, because the CPU draws the masks; with JPEG,
            because the CPU computes it; with the color difference, because each step uses other
            pixels; with images in a file, because the CPU reads them; and with several processes,
            because they wait for each other.
    """

    def __init__(
        self,
        model: ImageModel,
        images: DeviceImages,
        config: TrainingConfig,
        precision: torch.dtype,
        group: ProcessGroup = ALONE,
    ) -> None:
        self._model, self._images, self._config = model, images, config
        self._precision, self._loss, self._group = precision, make_loss(config.loss), group
        self.parameters = list(model.parameters())
        threads, on_cpu = torch.get_num_threads(), images.device.type == "cpu"
        whole = not on_cpu or any(isinstance(part, nn.BatchNorm2d) for part in model.modules())
        batch_size = config.batch_size // group.size
        self.shares = 1 if whole else max(1, min(threads, batch_size // MIN_SHARE))
        self._threads_each = threads // self.shares
        # A CUDA graph repeats the same operations on the same memory. Numbers that the CPU computes
        # for each batch would keep their values from the recorded batch.
        self.recordable = not (
            images.in_file
            or group.size > 1
            or config.loss.color_loss_weight
            or config.degradation.on_host
            or any(isinstance(part, Dropout) and part.probability for part in model.modules())
        )
        channels, height, width = images.shape
        # A smaller batch would leave vector lanes empty, and the C program only computes float32.
        self._compiled = None
        if not whole and precision == torch.float32 and batch_size >= MIN_SHARE:
            self._compiled = model.compiled((config.degradation.channels(channels), height, width))
        # A single call can only compare the output with the undegraded input, by squared error.
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
        """Device of the images."""
        return self._images.device

    def __call__(self, chosen: Tensor, keys: Tensor, *moment: int) -> Terms:
        """Return the terms of a batch's loss, and store its gradient in ``parameter.grad``.

        Args:
            chosen: Indices of the batch's images, ``int64 (N,)``.
            keys: Random keys of the batch's images in this epoch, ``int64 (N,)``.
            moment: Indices of the epoch and of the step; dropout draws new masks for each step.
        """
        group = self._group
        own = group.part(chosen)
        parts = own.tensor_split(self.shares)
        first = group.rank * self.shares
        moments = [(*moment, share) for share in range(first, first + self.shares)]
        own_keys = group.part(keys).tensor_split(self.shares)
        shares = list(zip(parts, own_keys, moments, strict=True))
        results = run_shares(self._share, shares, self._threads_each)
        terms, gradients = results[0]
        if self.shares > 1:
            # Shares can differ by one image, so their means are weighted by their sizes.
            weights = [len(part) / len(own) for part in parts]
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
        if group.size > 1:
            # The parts of the processes can differ by one image, too.
            weighted = [each * (len(own) / len(chosen)) for each in (*terms.values(), *gradients)]
            summed = group.add(weighted)
            terms = dict(zip(terms, summed, strict=False))
            gradients = tuple(summed[len(terms) :])
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        return terms

    def _share(
        self, chosen: Tensor, keys: Tensor, moment: tuple[int, ...]
    ) -> tuple[Terms, tuple[Tensor, ...]]:
        """Return a share's loss terms, and the gradient of their sum for each parameter."""
        config, target = self._config, self._model.target
        if self._one_call and self._compiled is not None:
            error, gradients = self._compiled.mse_gradient(*self._images.located(chosen))
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
            # Cross-entropy in nats; the network may return bfloat16, which is too coarse for it.
            errors = torch.stack([F.cross_entropy(each.float(), labels) for each in logits])
            terms["labels"] = config.loss.class_loss_weight * errors.sum()
        if config.loss.color_loss_weight:
            some, some_inputs, some_clean = (
                fourth_of_pixels(each, moment[-2]) for each in (output, inputs, clean)
            )
            difference = color_difference(target.image(some, some_inputs), some_clean)
            terms["color_difference"] = config.loss.color_loss_weight * difference
        # With `backward()`, several threads would write to the same `parameter.grad`.
        gradients = torch.autograd.grad(torch.stack(list(terms.values())).sum(), self.parameters)
        terms = {name: term.detach() for name, term in terms.items()}
        if "mse" not in terms:
            # Reported for every loss, so that runs with different losses can be compared.
            terms["mse"] = F.mse_loss(target.image(output.detach(), inputs), clean)
        return terms, gradients


class Step:
    """Runs steps of training: ``terms = step(chosen, keys, epoch, number)``.

    Python needs some microseconds to start an operation on a GPU. The step of a small network has
    hundreds of operations, and the GPU computes each operation faster than Python starts it.
    Therefore one step is recorded as a CUDA graph, which a single call replays.

    A step can be a replay if it has the same operations as the recorded one. This holds for the
    steps of SOAP between two refreshes of its bases (``SOAP.steady``) if the gradient is
    ``recordable``. Before a replay, the indices and keys of the images and ``SOAP.numbers`` are
    copied to fixed tensors on the device. All other steps, and all steps on other devices, run
    operation by operation.

    Args:
        gradient: Computes the gradient of a batch.
        optimizer: Optimizer of the gradient's parameters.
        grad_clip: Largest norm of the gradient over all parameters; ``None`` for no limit.
        threads: Number of CPU threads that the optimizer uses.
        record: Function that records a step; by default :func:`cuda_graph` if the images are on a
            CUDA device, otherwise steps are not recorded.
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
        """Train on a batch and return the terms of its loss.

        Args:
            chosen: Indices of the batch's images, ``int64 (N,)``.
            keys: Random keys of the batch's images in this epoch, ``int64 (N,)``.
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
        # Python counts the step before the replay, because a graph cannot contain Python code.
        optimizer.count()
        values = (chosen, keys, optimizer.numbers)
        # Every replay reads the same memory, so new values are copied to it.
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
                _log.warning("the step is not recorded as a CUDA graph, so it is slower: %s", error)
                self._record = None
                return arithmetic()
        return self._replay()

    def _clip(self) -> None:
        if self._grad_clip is not None:
            # The shares are already added, so this is the norm of the whole batch's gradient.
            torch.nn.utils.clip_grad_norm_(self._gradient.parameters, self._grad_clip)


def cuda_graph(function: Callable[[], Terms]) -> Callable[[], Terms]:
    """Record a function as a CUDA graph and return its replay.

    Recording does not run the function. Every call of the replay returns the same tensors, with new
    values.

    Raises:
        RuntimeError: An operation cannot be recorded.
    """
    # A graph has its own memory pool, so other operations do not overwrite its tensors.
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        terms = function()

    def replay() -> Terms:
        graph.replay()
        return terms

    return replay
