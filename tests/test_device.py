import platform

import pytest
import torch

from caelab import device
from caelab.device import (
    autocast,
    choose_device,
    choose_precision,
    has_bfloat16,
    limit_threads,
    set_threads,
)
from caelab.errors import InputError


def test_a_device_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        InputError, match=r"`device` cuda: there is no such device here; PyTorch finds .*cpu"
    ):
        choose_device("cuda")


def test_auto_takes_the_fastest_that_is_there(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    for cuda, expected in ((True, "cuda"), (False, "mps")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        caplog.clear()
        assert choose_device("auto").type == expected
        assert expected in caplog.text  # who asked for nothing is told what was taken
        caplog.clear()
        assert choose_device(expected).type == expected
        assert caplog.text == ""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    assert caplog.text == ""


def test_threads_are_limited_once(monkeypatch: pytest.MonkeyPatch) -> None:
    limit_threads.cache_clear()
    counts = [64]
    monkeypatch.setattr(torch, "get_num_threads", lambda: counts[-1])
    monkeypatch.setattr(torch, "set_num_threads", counts.append)
    monkeypatch.setattr(device, "default_threads", lambda: 2)
    choose_device("cpu")
    assert counts == [64, 2]
    set_threads(8)  # whoever asks for more has it
    choose_device("cpu")
    set_threads(None)
    assert counts == [64, 2, 8]
    limit_threads.cache_clear()
    monkeypatch.setattr(device, "default_threads", lambda: 16)
    limit_threads()
    assert counts == [64, 2, 8]


@pytest.mark.parametrize(
    ("machine", "instructions", "has"),
    [
        ("x86_64", {"torch.cpu._is_avx512_bf16_supported"}, True),
        ("AMD64", {"torch.cpu._is_amx_tile_supported"}, True),
        (
            "x86_64",
            {"torch.ops.mkldnn._is_mkldnn_bf16_supported"},
            False,
        ),  # AVX-512 alone: slower than float32
        ("aarch64", {"torch.ops.mkldnn._is_mkldnn_bf16_supported"}, True),
        ("x86_64", set(), False),
        ("arm64", set(), False),
    ],
)
def test_bfloat16_is_for_processors_that_have_it(
    machine: str,
    instructions: set[str],
    has: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    for name in (
        "torch.cpu._is_avx512_bf16_supported",
        "torch.cpu._is_amx_tile_supported",
        "torch.ops.mkldnn._is_mkldnn_bf16_supported",
    ):
        monkeypatch.setattr(name, lambda name=name: name in instructions)
    assert has_bfloat16() == has
    assert choose_precision("bfloat16", torch.device("cpu")) == (
        torch.bfloat16 if has else torch.float32
    )
    assert ("no bfloat16 instructions" in caplog.text) == (not has)


@pytest.mark.parametrize(
    ("allowed", "has"),
    [("avx2", False), ("AVX512_CORE", False), ("AVX512_CORE_BF16", True), ("ALL", True)],
)
def test_bfloat16_is_not_for_onednn_with_fewer_instructions(
    allowed: str, has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: True)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", allowed)
    assert has_bfloat16() == has


def test_precision() -> None:
    cpu = torch.device("cpu")
    assert choose_precision("auto", cpu) == choose_precision("float32", cpu) == torch.float32
    weights = torch.ones(4, 4)
    with autocast(cpu, torch.bfloat16):
        assert (weights @ weights).dtype == torch.bfloat16
    with autocast(cpu, torch.float32):
        assert (weights @ weights).dtype == torch.float32
