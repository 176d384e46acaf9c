"""The arithmetic of an epoch, against the rate at which this machine multiplies matrices."""

from collections.abc import Mapping, Sequence

from benchmarks import writing
from benchmarks.benchmark import Benchmark, Column, Options
from benchmarks.processes import Answer
from benchmarks.rounds import main
from benchmarks.tasks import EPOCH, Contestant, Task, contestant_module
from benchmarks.training import IMAGES
from caelab.networks import describe, parse

PASSES = 3
"""Forward, gradient by the input, gradient by the weights: each takes the layer's
multiply-accumulates once."""


def operations(network: str) -> float:
    """Return the floating-point operations of an epoch of training, with ``up conv`` rewritten."""
    return float(describe(parse(network)).multiply_accumulates_rewritten) * 2 * PASSES * EPOCH


def contestants(options: Options) -> Sequence[Contestant]:
    """Return the machine's matrix products, and caelab on both networks in both precisions."""
    sizes = {"side": 512, "seconds": 0.1} if options.quick else {"side": 2048, "seconds": 3.0}
    trained = [
        Contestant(
            name=f"{network}-{precision}",
            label=f"caelab, {network}, {precision}",
            arguments=contestant_module("caelab_fit"),
            task=Task(
                network=network,
                data=options.data,
                images=options.images or (2_000 if options.quick else IMAGES[network]),
                options={"precision": precision},
            ),
            given={"operations": operations(network)},
        )
        for network in IMAGES
        for precision in ("float32", "bfloat16")
    ]
    products = Contestant(
        name="products",
        label="products of matrices",
        arguments=contestant_module("products"),
        task=Task(options=sizes),
    )
    return [products, *trained]


def derive(answers: Mapping[str, Answer], contestants: Sequence[Contestant]) -> None:
    """Add the least seconds at this round's matrix rate, and the share of it that is reached."""
    rates = answers.get("products", {})
    for each in contestants:
        answer, amount = answers[each.name], each.given.get("operations")
        rate = rates.get(each.name.rpartition("-")[2])
        if amount and "seconds" in answer:
            answer.update(operations=amount, achieved=amount / answer["seconds"])
            if rate:
                answer.update(floor=amount / rate, share=amount / answer["seconds"] / rate)


FLOOR = Benchmark(
    name="floor",
    title="The floor: an epoch's arithmetic at the machine's own rate",
    about=(
        "The rate is that of products of 2048×2048 matrices in torch in the same round. The"
        " arithmetic of an epoch is the network's multiply-accumulates (`caelab describe`, with"
        " up conv as one convolution) × 2 × 3 passes × 48,000 images. It includes operations that"
        " could be left out (those with zeros of the padding, and the first layer's gradient of the"
        " image), but no time for moving bytes. With more than 100%, the convolutions run faster"
        " than torch's matrix products."
    ),
    rounds=5,
    contestants=contestants,
    columns=(
        Column("float32 GFLOP/s", "float32", writing.billions, spread=True),
        Column("bfloat16 GFLOP/s", "bfloat16", writing.billions, spread=True),
        Column("GFLOP/epoch", "operations", writing.billions),
        Column("floor, s", "floor", writing.seconds),
        Column("s/epoch", "seconds", writing.seconds, spread=True),
        Column("reached", "share", writing.percent),
    ),
    derive=derive,
)

if __name__ == "__main__":
    main((FLOOR,), __doc__)
