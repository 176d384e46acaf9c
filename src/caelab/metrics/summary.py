"""PSNR, and the mean errors that a result states. PyTorch is not needed."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def psnr(mse: ArrayLike) -> NDArray[np.float64]:
    """Return the peak signal-to-noise ratio for values in [0, 1], −10·log10(MSE), in dB.

    Args:
        mse: Mean squared errors on [0, 1], of any shape.

    Returns:
        PSNR in dB, of the same shape; higher is better. It is infinite where the MSE is 0.

    >>> psnr([0.01, 0.0]).tolist()
    [20.0, inf]
    """
    with np.errstate(divide="ignore"):
        return np.asarray(-10.0 * np.log10(np.asarray(mse, np.float64)))


def summarize_errors(mse: np.ndarray, **others: np.ndarray) -> dict[str, float | int]:
    """Return the numbers that a result states about the errors of images.

    Args:
        mse: Each image's mean squared error on [0, 1], ``(N,)``.
        **others: Values of further metrics by name, one per image, ``(N,)`` each.

    Returns:
        ``mse``, the mean over images; ``psnr``, the mean of the images' PSNR in dB;
        ``psnr_of_mean``, the PSNR of ``mse`` in dB; ``n``, the number of images; and the mean of
        each other metric, under its name.

    >>> summarize_errors(np.array([0.1, 0.001]))["psnr"]
    20.0
    """
    # Many papers print the PSNR of the mean MSE, which is lower than the mean PSNR (Jensen's
    # inequality). A result states both, so that it can be compared with any paper.
    mean = float(np.mean(mse, dtype=np.float64))
    return {
        "mse": mean,
        **{name: float(np.mean(values)) for name, values in others.items()},
        "psnr": float(np.mean(psnr(mse))),
        "psnr_of_mean": float(psnr(mean)),
        "n": len(mse),
    }
