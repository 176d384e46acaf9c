"""Encoding and decoding with caelab."""

import json

import torch

from benchmarks.contestants.data import images_and_split
from benchmarks.contestants.inferring import rates
from benchmarks.tasks import Task
from caelab.data.device_images import DeviceImages
from caelab.device import choose_device
from caelab.models.image_model import ImageModel
from caelab.models.inference import Inference
from caelab.models.targets import RgbTarget
from caelab.networks import parse
from caelab.networks.build import build


@torch.inference_mode()
def main() -> None:
    """Measure and print the rates."""
    task = Task.from_arguments()
    device = choose_device("auto")
    images, split = images_and_split(task)
    size = images.images.shape[2]
    network = build(
        parse(task.network), size=size, generator=torch.Generator().manual_seed(task.seed)
    ).eval()
    network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    model = ImageModel(network, mean=mean, std=std, target=RgbTarget(mean=mean, std=std))
    inference = Inference(model.to(device))
    pixels = DeviceImages.of(images.images, split.train, device=device)
    said = rates(
        pixels.batches(task.batch or 512),
        encode=lambda chosen: inference.encode(pixels.batch(chosen)),
        decode=inference.decode,
        seconds=task.options["seconds"],
    )
    print(json.dumps({**said, "data": images.source.name}))


if __name__ == "__main__":
    main()
