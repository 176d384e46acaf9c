"""A convolution, forward and with its gradients, by PyTorch and by caelab in turns."""

import json
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.tasks import Task
from caelab.kernels.convolution import convolve_winograd


def interleaved(ways: dict[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """Return median milliseconds of functions that take turns, three times at least."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(next(iter(times.values()))) < 4:
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            times[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(each[1:]) for name, each in times.items()}


def main() -> None:
    """Measure one shape and print the times."""
    options = Task.from_arguments().options
    count, inputs, outputs, side = options["shape"]
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, inputs, side, side, generator=generator).contiguous(
        memory_format=torch.channels_last
    )
    weight, bias = (
        torch.randn(outputs, inputs, 3, 3, generator=generator),
        torch.randn(outputs, generator=generator),
    )
    leaves = [each.requires_grad_() for each in (x, weight, bias)]
    towards = torch.ones(count, outputs, side, side).contiguous(memory_format=torch.channels_last)

    def library() -> Tensor:
        return F.conv2d(x, weight, bias, padding=1)

    def caelab() -> Tensor:
        return convolve_winograd(x, weight, bias, 1)

    def back(convolved: Callable[[], Tensor]) -> object:
        return torch.autograd.grad(convolved(), leaves, towards)

    with torch.no_grad():
        told = interleaved(
            {"library_forward": library, "caelab_forward": caelab}, options["seconds"]
        )
    told |= interleaved(
        {"library": lambda: back(library), "caelab": lambda: back(caelab)}, options["seconds"]
    )
    told["gain_forward"] = told["library_forward"] / told["caelab_forward"]
    told["gain"] = told["library"] / told["caelab"]
    print(json.dumps(told))


if __name__ == "__main__":
    main()
