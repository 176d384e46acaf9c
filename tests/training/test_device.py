import pytest
import torch

from caelab.errors import InputError
from caelab.training.device import autocast, choose_device, choose_precision


def test_a_device_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"--device cuda: there is no such device here; PyTorch finds .*cpu"):
        choose_device("cuda")


def test_auto_takes_the_fastest_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"


def test_precision() -> None:
    cpu = torch.device("cpu")
    assert choose_precision("auto", cpu) == torch.float32
    assert choose_precision("bfloat16", cpu) == torch.bfloat16
    weights = torch.ones(4, 4)
    with autocast(cpu, torch.bfloat16):
        assert (weights @ weights).dtype == torch.bfloat16
    with autocast(cpu, torch.float32):
        assert (weights @ weights).dtype == torch.float32
