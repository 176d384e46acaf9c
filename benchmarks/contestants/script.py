"""The usual script: a Dataset of PIL images, a DataLoader with two workers, Adam."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.contestants.data import train_and_test
from benchmarks.contestants.record import Record
from benchmarks.contestants.torch_networks import NETWORKS, count_weights
from benchmarks.tasks import Task

WORKERS = 2


class Pictures(Dataset[Tensor]):
    """Images as torchvision's CIFAR-10 with ``ToTensor``: array → PIL → tensor, one by one."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Tensor:
        """Return one image, ``float32 (3, H, W)`` in [0, 1]."""
        picture = Image.fromarray(self.pixels[index])
        pixels = torch.from_numpy(np.array(picture, np.uint8, copy=True))
        return pixels.permute(2, 0, 1).contiguous().to(torch.float32).div(255)


def main() -> None:
    """Train as the task says and print what was measured."""
    task = Task.from_arguments()
    if task.threads:
        torch.set_num_threads(task.threads)
    torch.manual_seed(task.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train, test, name = train_and_test(task)
    model = NETWORKS[task.network]().to(device)
    loader = DataLoader(
        Pictures(train), batch_size=task.batch or 32, shuffle=True, num_workers=WORKERS
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=task.learning_rate)
    criterion = nn.MSELoss()
    record = Record(task, weights=count_weights(model), data=name)

    stop = False
    for _ in range(task.epochs):
        record.begin()
        total = 0.0
        for step, batch in enumerate(loader, 1):
            images = batch.to(device)
            loss = criterion(model(images), images)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
            if record.due(step, len(loader)):
                stop = record.look(lambda: test_error(model, test, device))
                if stop:
                    break
        record.end(len(train))
        record.said["train_mse"] = total / len(loader)
        if stop:
            break
    record.tell()


@torch.no_grad()
def test_error(model: nn.Module, test: NDArray[np.uint8], device: torch.device) -> float:
    """Return the MSE over all pixels of the test images, with the output clipped to [0, 1]."""
    errors = []
    for start in range(0, len(test), 500):
        images = (
            torch.from_numpy(test[start : start + 500])
            .to(device)
            .permute(0, 3, 1, 2)
            .float()
            .div(255)
        )
        errors.append((model(images).clamp(0, 1) - images).square().mean((1, 2, 3)))
    return float(torch.cat(errors).double().mean())


if __name__ == "__main__":
    main()
