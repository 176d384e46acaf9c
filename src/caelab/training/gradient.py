"""The gradient of a batch's loss; on a CPU, threads share the batch out."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caelab.data.device_images import DeviceImages
from caelab.degrade.apply import degrade
from caelab.degrade.degradation import Degradation
from caelab.device import autocast, run_shares
from caelab.models.image_model import ImageModel
from caelab.models.targets import RgbTarget
from caelab.networks.modules import Dropout, drawing_from
from caelab.networks.network_module import Output
from caelab.randomness import generator_for
from caelab.training.augmentation import augment
from caelab.training.color_difference import color_difference, fourth_of_pixels
from caelab.training.config import AugmentationConfig, TrainingConfig
from caelab.training.losses import MeanSquaredError, make_loss

Terms = dict[str, Tensor]
"""Terms of the loss by name, scalars without a graph; and ``mse``, that of the clipped images."""

MIN_SHARE = 16
"""Images that are worth a thread of their own, and that fill the lanes of the SIMD kernel."""


class BatchGradient:
    """Computes the loss of a batch and its gradient, which it leaves in the parameters.

    On a CPU each thread takes a share of the batch through the whole network and back. Were all
    threads to share each operation, they would wait for each other hundreds of times a step, which
    small operations do not pay for, and least of all where another program takes a core away. The
    shares' gradients are added in a fixed order, so the same number of threads gives the same bits.
    A network with batch normalization, whose statistics are the whole batch's, is not shared out,
    nor is anything on another device.

    Small networks run in the SIMD kernel, where there is a C compiler; plain autoencoders with the
    squared error from bytes to gradient in one call.

    Args:
        model: What is trained.
        images: The training images.
        config: The run's configuration.
        precision: Number format of convolutions.

    Attributes:
        parameters: The parameters of the model.
        shares: Number of shares of a batch.
        recordable: Whether the operations are the same for every batch and none of their inputs
            comes from the host, as it does for dropout's masks and JPEGs. The color difference is
            measured on other pixels in each step.
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
        # A CUDA graph repeats the same operations on the same memory; what the host computes anew
        # for each batch would be frozen in it.
        self.recordable = not (
            config.loss.color_loss_weight
            or config.degradation.on_host
            or any(isinstance(part, Dropout) and part.probability for part in model.modules())
        )
        channels, height, width = images.shape
        self._compiled = None
        if not whole and precision == torch.float32 and config.batch_size >= MIN_SHARE:
            self._compiled = model.compiled((config.degradation.channels(channels), height, width))
        reconstructs = (
            config.degradation == Degradation()
            and config.augmentation == AugmentationConfig()
            and type(self._loss) is MeanSquaredError
            and isinstance(model.target, RgbTarget)
            and not config.loss.color_loss_weight
        )
        self._one_call = reconstructs and self._compiled is not None and self._compiled.keeps_shape

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
        keys_of_parts = keys.tensor_split(self.shares)
        moments = [(*moment, share) for share in range(self.shares)]
        results = run_shares(
            self._share, list(zip(parts, keys_of_parts, moments, strict=True)), self._threads_each
        )
        terms, gradients = results[0]
        if self.shares > 1:
            # Shares may differ by one image, so a plain mean of their means would be wrong.
            weights = [len(part) / len(chosen) for part in parts]
            terms = {
                name: torch.stack([share[name] for share, _ in results]) @ torch.tensor(weights)
                for name in terms
            }
            # A sum of floats depends on the order of its terms. This order is fixed, not that in
            # which threads finish.
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
        with autocast(clean.device, self._precision), drawing_from(generator):
            output, logits = (
                self._model.forward_with_logits(inputs)
                if self._compiled is None
                else Output(self._compiled(inputs))
            )
        loss = self._loss(output, target.target(clean))
        terms = {target.loss_prefix + self._loss.name: loss}
        if logits:
            terms["labels"] = config.loss.class_loss_weight * self._class_loss(logits, chosen)
        if config.loss.color_loss_weight:
            some, some_inputs, some_clean = (
                fourth_of_pixels(each, moment[-2]) for each in (output, inputs, clean)
            )
            difference = color_difference(target.image(some, some_inputs), some_clean)
            terms["color_difference"] = config.loss.color_loss_weight * difference
        gradients = torch.autograd.grad(torch.stack(list(terms.values())).sum(), self.parameters)
        terms = {name: term.detach() for name, term in terms.items()}
        if "mse" not in terms:
            # Recorded for all losses alike, so that the curves of their runs can be compared.
            terms["mse"] = F.mse_loss(target.image(output.detach(), inputs), clean)
        return terms, gradients

    def _class_loss(self, logits: tuple[Tensor, ...], chosen: Tensor) -> Tensor:
        """Return the labels' cross-entropy in nats, summed over the ``classify`` layers."""
        assert self._images.labels is not None
        labels = self._images.labels.index_select(0, chosen)
        return torch.stack([F.cross_entropy(each.float(), labels) for each in logits]).sum()
