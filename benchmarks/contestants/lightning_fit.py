"""Lightning: the usual Dataset with two persistent workers, or tensors in memory.

``options: {"memory": true}`` chooses the latter.
"""

import logging
import warnings
from typing import Any

import lightning
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.contestants.data import train_and_test
from benchmarks.contestants.record import Record
from benchmarks.contestants.script import WORKERS, Pictures
from benchmarks.contestants.torch_networks import NETWORKS, count_weights
from benchmarks.tasks import Task


class Module(lightning.LightningModule):
    """A network with mean squared error and Adam."""

    def __init__(self, network: torch.nn.Module, learning_rate: float) -> None:
        super().__init__()
        self.network, self.learning_rate = network, learning_rate

    def training_step(self, batch: Tensor, _: int) -> Tensor:
        """Return the loss of a batch, ``float32 (N, 3, H, W)``."""
        return F.mse_loss(self.network(batch), batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam over all weights."""
        return torch.optim.Adam(self.network.parameters(), lr=self.learning_rate)


class InMemory(Dataset[Tensor]):
    """A data set of images that are tensors already."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        """Return one image, ``float32 (3, H, W)`` in [0, 1]."""
        return self.images[index]


class Clock(lightning.Callback):
    """Callback that reports the begin and end of epochs to the record."""

    def __init__(self, record: Record, images: int) -> None:
        self.record, self.images = record, images

    def on_train_epoch_start(self, *_: Any) -> None:
        """Report the begin of an epoch."""
        self.record.begin()

    def on_train_epoch_end(self, *_: Any) -> None:
        """Report the end of an epoch."""
        self.record.end(self.images)


def main() -> None:
    """Train as the task says and print what was measured."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    task = Task.from_arguments()
    lightning.seed_everything(task.seed, verbose=False)
    train, _, name = train_and_test(task)
    network = NETWORKS[task.network]()
    record = Record(task, weights=count_weights(network), data=name)
    batch = task.batch or 32
    if task.options.get("memory"):
        images = torch.from_numpy(train).permute(0, 3, 1, 2).contiguous().float().div(255)
        loader = DataLoader(InMemory(images), batch_size=batch, shuffle=True)
    else:
        loader = DataLoader(
            Pictures(train),
            batch_size=batch,
            shuffle=True,
            num_workers=WORKERS,
            persistent_workers=True,
        )
    trainer = lightning.Trainer(
        max_epochs=task.epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Clock(record, len(train))],
    )
    trainer.fit(Module(network, task.learning_rate), loader)
    record.tell()


if __name__ == "__main__":
    main()
