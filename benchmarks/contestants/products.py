"""The machine's own rate: products of square matrices, in float32 and in bfloat16."""

import json
import statistics
import time

import torch

from benchmarks.tasks import Task
from caelab.device import choose_device, has_bfloat16


def rate(kind: torch.dtype, *, side: int, seconds: float, device: torch.device) -> float:
    """Return the median rate of products of ``side``×``side`` matrices in FLOP/s: 2·side³ each."""
    left, right = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    rates: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(rates) < 3:
        started = time.perf_counter()
        product = left @ right
        product[0, 0].item()  # waits for the device
        rates.append(2 * side**3 / (time.perf_counter() - started))
    return statistics.median(rates[1:])


def main() -> None:
    """Measure each precision that the processor has, and print the rates."""
    options = Task.from_arguments().options
    device = choose_device("auto")
    kinds = {"float32": torch.float32}
    if device.type != "cpu" or has_bfloat16():
        kinds["bfloat16"] = torch.bfloat16
    told = {
        name: rate(kind, side=options["side"], seconds=options["seconds"], device=device)
        for name, kind in kinds.items()
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
