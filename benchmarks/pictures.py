"""Coloring: small images by the network alone, a folder of files, and a 12-megapixel photo."""

from collections.abc import Sequence

from benchmarks import writing
from benchmarks.benchmark import Benchmark, Column, Options
from benchmarks.rounds import main
from benchmarks.tasks import Contestant, Task, contestant_module


def contestants(options: Options) -> Sequence[Contestant]:
    """Return every job on PyTorch and on onnxruntime."""
    seconds = 0.5 if options.quick else 5.0
    count = 20 if options.quick else 1_000
    side = 400 if options.quick else 4_000
    jobs: dict[str, tuple[str, dict[str, float]]] = {
        "network": ("32×32 pixels in memory, batch 512", {"seconds": seconds}),
        "folder": (f"a folder of {count:,} files of 32×32 pixels", {"count": count}),
        "photograph": (f"a photograph of {side:,}×{side * 3 // 4:,} pixels", {"width": side}),
    }
    return [
        Contestant(
            name=f"{job}-{runtime}",
            label=label,
            group=job_label,
            arguments=contestant_module("caelab_pictures"),
            task=Task(data="photos", batch=512, options={"job": job, "runtime": runtime, **told}),
            needs=("onnxruntime",) if runtime == "onnx" else (),
        )
        for job, (job_label, told) in jobs.items()
        for runtime, label in (("torch", "PyTorch"), ("onnx", "onnxruntime"))
    ]


PICTURES = Benchmark(
    name="pictures",
    title="Colors for pictures, with the model that ships",
    about=(
        "In memory, only the network computes RGB from gray. For files, the times and the peak"
        " memory are those of the whole process of `caelab colorize`, which reads and writes PNG"
        " and JPEG files."
    ),
    rounds=5,
    contestants=contestants,
    columns=(
        Column("images/s", "images_per_second", writing.thousands, spread=True),
        Column("seconds", "seconds", writing.seconds, spread=True),
        Column("peak MB", "peak_memory", writing.megabytes),
    ),
)

if __name__ == "__main__":
    main((PICTURES,), __doc__)
