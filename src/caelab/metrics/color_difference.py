"""How colors differ, one value per image: ``(N, 3, H, W)`` twice, in the space that the names say,
→ ``(N,)``.
"""

import torch
from skimage.color import deltaE_ciede2000
from torch import Tensor


def chroma_squared_error(estimate_ycbcr: Tensor, target_ycbcr: Tensor) -> Tensor:
    """Return the mean squared error of Cb and Cr (BT.601, full range, within ±0.5) over pixels and
    both planes.
    """
    return (estimate_ycbcr[:, 1:] - target_ycbcr[:, 1:]).square().flatten(1).mean(1)


def ciede2000(estimate_lab: Tensor, target_lab: Tensor) -> Tensor:
    """Return the mean color difference ΔE₀₀ over pixels (CIE 2001; 1 is about just noticeable), by
    scikit-image.
    """
    estimate, target = (
        lab.detach().movedim(1, -1).cpu().numpy() for lab in (estimate_lab, target_lab)
    )
    difference = torch.from_numpy(deltaE_ciede2000(estimate, target))  # type: ignore[no-untyped-call]
    return difference.to(target_lab.device).flatten(1).mean(1)


def color_accuracy(estimate_lab: Tensor, target_lab: Tensor, *, tolerance: float) -> Tensor:
    """Return the percentage of pixels that are within ``tolerance`` percent of the range in L, a
    and b alike.

    The channels of both are rounded to whole numbers first, the range of L is 100 and that of a and
    b 220 (ε-accuracy; Nazeri et al. 2018, arXiv 1803.05400, in whose code it is so).
    """
    difference = (estimate_lab.round() - target_lab.round()).abs()
    limit = difference.new_tensor([1.0, 2.2, 2.2]).mul_(tolerance).view(1, 3, 1, 1)
    return (difference <= limit).all(1).flatten(1).double().mean(1) * 100


def colorfulness(rgb: Tensor) -> Tensor:
    """Return M⁽³⁾ of Hasler and Süsstrunk (2003) of RGB in [0, 1], computed on 0–255 as usual; 0
    for gray.

    √(σ²_rg + σ²_yb) + 0.3 √(μ²_rg + μ²_yb) with rg = R − G and yb = (R + G)/2 − B. 33 is
    "moderately colorful".
    """
    red, green, blue = (255 * rgb).flatten(2).unbind(1)
    opponents = torch.stack([red - green, (red + green) / 2 - blue])
    spread, centre = (
        opponents.var(2, correction=0).sum(0).sqrt(),
        opponents.mean(2).square().sum(0).sqrt(),
    )
    return spread + 0.3 * centre
