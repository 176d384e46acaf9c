"""Seconds per epoch: caelab beside the usual script, Keras on three backends and Lightning."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import writing
from benchmarks.benchmark import Benchmark, Column, Options
from benchmarks.processes import Answer
from benchmarks.rounds import main
from benchmarks.tasks import EPOCH, Contestant, Task, contestant_module

IMAGES = {"reference": EPOCH, "residual": 6_000}
"""Training images of an epoch by network; all 48,000 would take the residual network minutes."""

BASIS = "script-32"
"""The contestant with which the others are compared."""

_KERAS_NEEDS = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}


def contestants(options: Options) -> Sequence[Contestant]:
    """Return all contestants for both networks; their names end in the network's."""
    return [each for network in IMAGES for each in _field(network, options)]


def _field(network: str, options: Options) -> Sequence[Contestant]:
    def enter(
        name: str,
        label: str,
        module: str,
        *,
        needs: Sequence[str] = (),
        backend: str = "",
        **task: Any,
    ) -> Contestant:
        images = options.images or (2_000 if options.quick else IMAGES[network])
        return Contestant(
            name=f"{name}-{network}",
            label=label,
            group=network,
            arguments=contestant_module(module),
            task=Task(network=network, data=options.data, images=images, **task),
            needs=tuple(needs),
            environment={"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"} if backend else {},
        )

    return [
        *(
            enter(f"script-{size}", f"usual script, batch {size}", "script", batch=size)
            for size in (32, 64)
        ),
        *(
            enter(
                f"keras-{backend}",
                f"Keras on {title}, batch 128",
                "keras_fit",
                needs=("keras", _KERAS_NEEDS[backend]),
                backend=backend,
                batch=128,
            )
            for backend, title in (("tensorflow", "TensorFlow"), ("jax", "JAX"), ("torch", "torch"))
        ),
        enter(
            "lightning",
            "Lightning, usual Dataset, batch 64",
            "lightning_fit",
            needs=("lightning",),
            batch=64,
        ),
        enter(
            "lightning-memory",
            "Lightning, tensors in memory, batch 128",
            "lightning_fit",
            needs=("lightning",),
            batch=128,
            options={"memory": True},
        ),
        *(
            enter(f"caelab-{size}", f"caelab, batch {size}", "caelab_fit", batch=size)
            for size in (32, 64)
        ),
        enter("caelab", "**caelab**, its defaults", "caelab_fit"),
        enter("caelab-bf16", "caelab, bfloat16", "caelab_fit", options={"precision": "bfloat16"}),
        enter("caelab-256", "caelab, batch 256", "caelab_fit", batch=256),
    ]


def derive(answers: Mapping[str, Answer], _contestants: Sequence[Contestant]) -> None:
    """Add how many times faster than the usual script each contestant was in this round."""
    for name, answer in answers.items():
        basis = answers.get(f"{BASIS}-{name.rpartition('-')[2]}", {})
        if "seconds" in answer and "seconds" in basis:
            answer["speedup"] = basis["seconds"] / answer["seconds"]


TRAINING = Benchmark(
    name="training",
    title="Training: one epoch of 48,000 images of CIFAR-10",
    about=(
        "All have the same split, network and loss (mean squared error), and float32 unless a row"
        " says bfloat16. The optimizer is Adam, except for caelab, which uses its default. Each"
        " runs in its own process. The first epoch is the warm-up, and the second is measured,"
        " without validation. The reference network is measured on all 48,000 images. The residual"
        " network is measured on 6,000 images and its time is scaled, including the start of the"
        " loaders' workers, some tenths of a second an epoch. Memory is the peak of the process and"
        " its children, with shared pages counted once. 'Cores used' is processor time divided by"
        " wall time."
    ),
    rounds=3,
    contestants=contestants,
    columns=(
        Column("s/epoch", "seconds", writing.seconds, spread=True),
        Column("images/s", "images_per_second", writing.thousands),
        Column("× usual script", "speedup", writing.ratio),
        Column("first epoch, s", "first_epoch", writing.seconds),
        Column("peak MB", "peak_memory", writing.megabytes),
        Column("cores used", "cores", writing.one_decimal),
    ),
    derive=derive,
)

if __name__ == "__main__":
    main((TRAINING,), __doc__)
