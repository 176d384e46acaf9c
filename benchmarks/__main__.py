"""All benchmarks, one after the other: ``python -m benchmarks``."""

from benchmarks.convolutions import CONVOLUTIONS
from benchmarks.floor import FLOOR
from benchmarks.inference import INFERENCE
from benchmarks.pictures import PICTURES
from benchmarks.quality import QUALITY
from benchmarks.rounds import main
from benchmarks.scale import SCALE
from benchmarks.startup import STARTUP
from benchmarks.training import TRAINING

BENCHMARKS = (TRAINING, QUALITY, FLOOR, CONVOLUTIONS, SCALE, INFERENCE, PICTURES, STARTUP)

if __name__ == "__main__":
    main(BENCHMARKS, __doc__)
