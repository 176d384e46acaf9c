"""Encoding and decoding with caelab's built network, channels last."""

import json

import torch

from benchmarks.contestants.data import images_and_split
from benchmarks.contestants.inferring import rates
from benchmarks.tasks import Task
from caelab.networks import resolve
from caelab.networks.build import build
from caelab.training.device import choose_device
from caelab.training.pixels import Pixels


@torch.inference_mode()
def main() -> None:
    """Measure and tell."""
    task = Task.from_arguments()
    device = choose_device("auto")
    images, split = images_and_split(task)
    size = images.images.shape[2]
    network = build(resolve(task.network), size=size, generator=torch.Generator().manual_seed(task.seed)).eval()
    network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    pixels = Pixels.of(images.images, split.train, device=device)
    said = rates(
        pixels.batches(task.batch or 512),
        encode=lambda chosen: network.encode(pixels.batch(chosen)),
        decode=lambda code: network.decode(code).clamp(0, 1),
        seconds=task.options["seconds"],
    )
    print(json.dumps({**said, "data": images.source.name}))


if __name__ == "__main__":
    main()
