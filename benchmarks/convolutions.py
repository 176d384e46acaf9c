"""Convolutions of many channels in float32: PyTorch's and caelab's.

caelab's (``caelab.kernels.convolution``) does a fourth of the multiplications.
"""

from collections.abc import Sequence

from benchmarks import writing
from benchmarks.benchmark import Benchmark, Column, Options
from benchmarks.rounds import main
from benchmarks.tasks import Contestant, Task, contestant_module

SHAPES = (
    (64, 16, 16, 32),
    (64, 32, 32, 16),
    (64, 96, 48, 16),
    (64, 96, 96, 8),
    (64, 192, 96, 8),
    (64, 160, 160, 4),
    (64, 8, 48, 16),
    (64, 48, 8, 16),
    (64, 48, 48, 6),
    (1, 96, 96, 8),
    (4, 96, 96, 8),
    (1, 48, 48, 128),
)
"""Images, channels in, channels out, and side of the maps; the first six as networks for 32×32 have
them."""


def contestants(options: Options) -> Sequence[Contestant]:
    """Return one process per shape, in which both implementations take turns."""
    return [
        Contestant(
            name="-".join(map(str, shape)),
            label=f"{shape[0]} × {shape[3]}×{shape[3]}, {shape[1]} → {shape[2]} channels",
            arguments=contestant_module("convolutions"),
            task=Task(options={"shape": shape, "seconds": 0.1 if options.quick else 1.0}),
        )
        for shape in (SHAPES[3:4] if options.quick else SHAPES)
    ]


CONVOLUTIONS = Benchmark(
    name="convolutions",
    title="Convolutions of many channels, 3×3, float32",
    about=(
        "Times are milliseconds on one thread, as in training, where each thread computes a part of"
        " a batch: forward only, and forward with the gradients of images and weights. Images are"
        " channels last. PyTorch's `conv2d` and `caelab.kernels.convolution` take turns in one"
        " process."
    ),
    rounds=3,
    contestants=contestants,
    columns=(
        Column("forward: PyTorch, ms", "library_forward", writing.seconds),
        Column("caelab, ms", "caelab_forward", writing.seconds),
        Column("", "gain_forward", writing.ratio, spread=True),
        Column("and back: PyTorch, ms", "library", writing.seconds),
        Column("caelab, ms", "caelab", writing.seconds),
        Column("", "gain", writing.ratio, spread=True),
    ),
)

if __name__ == "__main__":
    main((CONVOLUTIONS,), __doc__)
