"""Whole runs on a device like Apple's GPUs, which have no float64 and lack some decompositions.

PyTorch's meta device stands for it: it computes shapes and holds no values. What the host reads
from it is 1 everywhere.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from caelab.experiments.config import RunConfig
from caelab.experiments.evaluate import evaluate
from caelab.experiments.run import run
from caelab.training import soap

META = torch.device("meta")
ATEN = torch.ops.aten

MISSING = ("linalg_qr", "linalg_eig", "linalg_svd", "linalg_cholesky", "linalg_lstsq", "geqrf")
"""Beginnings of operations that Apple's GPUs lack, in some version of PyTorch."""

UNET = "conv8:gelu [pool conv8:gelu (norm conv8:gelu conv8:none) context up conv8:gelu] conv8 conv3"


class AppleGPU(TorchDispatchMode):
    """Refuses, on the meta device, what an Apple GPU refuses; lets the host read from it."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        there = [
            each
            for each in tree_leaves((args, kwargs))
            if isinstance(each, Tensor) and each.is_meta
        ]
        if there and func.__name__.startswith(MISSING):
            raise AssertionError(f"{func} on the device")
        if there and func is ATEN._local_scalar_dense.default:
            return 1
        if there and func is ATEN._to_copy.default and kwargs.get("device", META) != META:
            answer = torch.ones(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        elif there and func is ATEN.copy_.default and not args[0].is_meta:
            answer = args[0].fill_(1)
        elif there and func is ATEN.bincount.default:
            answer = torch.empty(args[2], dtype=torch.int64, device=META)
        else:
            answer = func(*args, **kwargs)
        for tensor in tree_leaves(answer):
            if isinstance(tensor, Tensor) and tensor.is_meta and tensor.dtype == torch.float64:
                raise AssertionError(f"{func} makes a float64 on the device")
        return answer


@pytest.fixture
def apple(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for module in ("run", "evaluate"):
        monkeypatch.setattr(f"caelab.experiments.{module}.choose_device", lambda _: META)
    monkeypatch.setattr(soap, "WITHOUT_QR", ("meta",))
    # The meta device has no autocast, which kornia turns off.
    monkeypatch.setattr(torch, "autocast", lambda **_: contextlib.nullcontext())
    with AppleGPU():
        yield


CASES: dict[str, dict[str, Any]] = {
    "a reconstruction": {
        "network": "reference",
        "batchnorm": True,
        "ema_decay": 0.9,
        "tta_flip": True,
        "tta_scale": True,
    },
    "colors in bins, all metrics": {
        "network": UNET,
        "degradation": "gray",
        "target": "bins",
        "color_space": "lab",
        "loss": "cross_entropy",
        "color_loss_weight": 0.1,
        "normalize": "standardize",
        "bins": 16,
    },
    "augmentation, initialization by data, a classical method": {
        "network": "conv8 pool conv8 | up conv3",
        "init": "lsuv",
        "optimizer": "adamw",
        "degradation": "downscale2",
        "flip": True,
        "translate": 2,
        "rotate": 10,
        "scale_jitter": 0.2,
        "gamma_jitter": 0.1,
    },
}


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
@pytest.mark.usefixtures("apple")
def test_a_run_and_its_evaluation_need_no_float64(
    options: dict[str, Any], pictures: Path, tmp_path: Path
) -> None:
    config = RunConfig().replace(
        **{"size": 16, "batch_size": 32, "epochs": 1, "data": str(pictures), **options}
    )
    directory = run(config, runs=tmp_path)
    assert directory.read_result()["test"]["n"] == 12
    assert evaluate(directory.path, options={})["errors"]["n"] == 12
