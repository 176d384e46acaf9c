"""Images per second through encoder and decoder at 32×32 pixels."""

from collections.abc import Sequence

from benchmarks import writing
from benchmarks.benchmark import Benchmark, Column, Options
from benchmarks.rounds import main
from benchmarks.tasks import Contestant, Task, contestant_module


def contestants(options: Options) -> Sequence[Contestant]:
    """Return plain torch and caelab, for both networks and two batch sizes."""
    seconds = 0.2 if options.quick else 3.0
    return [
        Contestant(
            name=f"{name}-{batch}-{network}",
            label=f"{label}, batch {batch}",
            group=network,
            arguments=contestant_module(module),
            task=Task(
                network=network,
                data=options.data,
                images=options.images or (1_000 if options.quick else 6_000),
                batch=batch,
                options={"seconds": seconds},
            ),
        )
        for network in ("reference", "residual")
        for name, label, module in (
            ("script", "plain torch", "script_inference"),
            ("caelab", "**caelab**", "caelab_inference"),
        )
        for batch in (64, 512)
    ]


INFERENCE = Benchmark(
    name="inference",
    title="Inference: images per second at 32×32 pixels",
    about=(
        "Encoding turns bytes in memory into codes. Decoding turns codes into images that are"
        " clipped to [0, 1]. All numbers are float32."
    ),
    rounds=5,
    contestants=contestants,
    columns=(
        Column("encode, images/s", "encode", writing.thousands, spread=True),
        Column("decode, images/s", "decode", writing.thousands, spread=True),
    ),
)

if __name__ == "__main__":
    main((INFERENCE,), __doc__)
