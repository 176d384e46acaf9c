"""The clock of encoding and decoding, the same for every contestant."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def rates(
    batches: Sequence[Any],
    *,
    encode: "Callable[[Any], Tensor]",
    decode: "Callable[[Tensor], Tensor]",
    seconds: float,
) -> dict[str, float]:
    """Return images per second of both halves, after a warm-up pass.

    Args:
        batches: Images as bytes, in the form that ``encode`` takes.
        encode: Map of a batch of bytes to its code ``(N, c, h, w)``.
        decode: Map of a code to images ``(N, 3, H, W)`` in [0, 1].
        seconds: Time to measure each half.
    """
    codes = [encode(batch) for batch in batches]
    for code in codes:
        decode(code)
    return {"encode": rate(encode, batches, seconds), "decode": rate(decode, codes, seconds)}


def rate(function: Callable[[Any], Any], inputs: Sequence[Any], seconds: float) -> float:
    """Return images per second of a function of batches, without a warm-up."""
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        for each in inputs:
            output = function(each)
            done += len(output)
        output.flatten()[0].item()  # waits for the device
    return done / (time.perf_counter() - started)
