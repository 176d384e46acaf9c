"""Encoding and decoding as usually written: plain torch, default layout, ``no_grad``."""

import json

import torch
from torch import Tensor

from benchmarks.contestants.data import train_and_test
from benchmarks.contestants.inferring import rates
from benchmarks.contestants.torch_networks import NETWORKS
from benchmarks.tasks import Task


@torch.no_grad()
def main() -> None:
    """Measure and print the rates."""
    task = Task.from_arguments()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train, _, name = train_and_test(task)
    pixels = torch.from_numpy(train).permute(0, 3, 1, 2).contiguous()
    model = NETWORKS[task.network]().to(device).eval()

    def encode(batch: Tensor) -> Tensor:
        code: Tensor = model.encoder(batch.to(device).float().div(255))
        return code

    said = rates(
        torch.split(pixels, task.batch or 512),
        encode=encode,
        decode=lambda code: model.decoder(code).clamp(0, 1),
        seconds=task.options["seconds"],
    )
    print(json.dumps({**said, "data": name}))


if __name__ == "__main__":
    main()
