import copy

import pytest
import torch
from torch import Tensor, nn

from caelab.device import threads
from caelab.errors import InputError
from caelab.kernels.compiler import find_compiler
from caelab.models.image_model import ImageModel
from caelab.models.inference import MAX_SIZES, Inference
from caelab.models.targets import RgbTarget
from caelab.models.tta import TTA
from caelab.networks.build import build
from caelab.networks.network_module import NetworkModule
from caelab.networks.parser import parse

TEXT = "conv8 pool conv12k5 | up conv6:leaky conv3:none"


def make_model(text: str = TEXT, *, channels: int = 3, average_shift: int = 0) -> ImageModel:
    network = build(
        parse(text), channels=channels, size=16, generator=torch.Generator().manual_seed(1)
    )
    mean, std = (0.4, 0.5, 0.6)[:channels], (0.2, 0.25, 0.3)[:channels]
    prediction = RgbTarget(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    return ImageModel(
        network, mean=mean, std=std, target=prediction, tta=TTA(shift=average_shift)
    ).eval()


def images(count: int, size: int = 16, channels: int = 3) -> Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(2))


def refuse(*_: object) -> None:
    raise AssertionError("PyTorch's layers were called")


@pytest.mark.parametrize("average_shift", [0, 2])
@pytest.mark.parametrize(("count", "size"), [(1, 16), (15, 16), (16, 16), (67, 16), (20, 24)])
def test_answers_are_those_of_a_float64_twin(count: int, size: int, average_shift: int) -> None:
    model = make_model(average_shift=average_shift)
    inference, twin, given = Inference(model), copy.deepcopy(model).double(), images(count, size)
    assert isinstance(twin.network, NetworkModule)
    exact = twin.network.part("encoder")(twin.normalize(given.double()))
    torch.testing.assert_close(inference.encode(given).double(), exact, rtol=1e-5, atol=1e-5)
    decoded = twin.target.image(twin.target.output(twin.network.part("decoder")(exact)), exact)
    torch.testing.assert_close(
        inference.decode(exact.float()).double(), decoded, rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(
        inference.restore(given).double(), twin.restore(given.double()), rtol=1e-5, atol=1e-5
    )
    assert not inference.restore(given).requires_grad


@pytest.mark.skipif(not find_compiler(), reason="there is no C compiler")
def test_small_networks_are_compiled_for_small_images(monkeypatch: pytest.MonkeyPatch) -> None:
    inference = Inference(make_model())
    code = inference.encode(images(2))
    monkeypatch.setattr(nn.Sequential, "forward", refuse)
    inference.restore(images(2))
    inference.decode(inference.encode(images(2)))
    for few in (inference.restore, inference.encode):
        with pytest.raises(AssertionError, match="PyTorch"):
            few(images(1, size=66))
    with pytest.raises(AssertionError, match="PyTorch"):
        inference.decode(torch.zeros(1, 12, 33, 33))  # a small code of a large image
    with pytest.raises(AssertionError, match="PyTorch"), torch.autocast("cpu", torch.bfloat16):
        inference.restore(images(2))
    with pytest.raises(AssertionError, match="PyTorch"):
        inference.decode(code.double())


def test_an_image_s_answer_depends_on_no_other_image() -> None:
    inference, given = Inference(make_model()), images(37)
    for answer in (inference.restore, inference.encode):
        whole = answer(given)
        for count in (1, 15, 16, 17):
            torch.testing.assert_close(answer(given[:count]), whole[:count], rtol=0, atol=0)


def test_any_number_of_threads_gives_the_same_bits() -> None:
    inference, given = Inference(make_model()), images(70)
    answers = []
    for count in (1, 2, 5):
        with threads(count):
            answers.append(inference.restore(given))
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(answers[0], answers[2])


def test_weights_are_read_where_they_are() -> None:
    model = make_model()
    inference, given = Inference(model), images(20)
    before = inference.restore(given)
    model.load_state_dict({name: 0.5 * value for name, value in model.state_dict().items()})
    after = inference.restore(given)
    assert (before - after).abs().max() > 0.01
    torch.testing.assert_close(after, model.restore(given).detach(), rtol=1e-5, atol=1e-5)


def test_hooks_are_called() -> None:
    model = make_model()
    inference, given = Inference(model), images(20)
    plain = inference.restore(given)
    handle = model.network.get_submodule("encoder").register_forward_hook(
        lambda _module, _inputs, code: 0 * code
    )
    torch.testing.assert_close(inference.restore(given), model.restore(given).detach())
    assert (inference.restore(given) - plain).abs().max() > 0.01
    handle.remove()
    assert torch.equal(inference.restore(given), plain)


@pytest.mark.parametrize(
    "text", ["conv8 (conv8) conv3", "conv64 conv64 | conv3", "conv8:gelu | conv3"]
)
def test_other_networks_are_pytorch_s(text: str) -> None:
    model = make_model(text)
    assert torch.equal(Inference(model).restore(images(20)), model.restore(images(20)))
    if "|" not in text:
        with pytest.raises(InputError, match="cannot be split"):
            Inference(model).encode(images(20))


def test_what_is_given_may_have_other_channels() -> None:
    model = make_model("conv8 pool | up conv3", channels=1)
    torch.testing.assert_close(
        Inference(model).restore(images(20, channels=1)),
        model.restore(images(20, channels=1)).detach(),
    )


def test_many_sizes_do_not_add_up() -> None:
    inference = Inference(make_model())
    for size in range(8, 60, 2):
        assert inference.restore(images(2, size)).shape == (2, 3, size, size)
        assert inference._compiled.cache_info().currsize <= MAX_SIZES


WIDE = (
    "unshuffle2 conv96:gelu (norm conv96:gelu conv96:none) conv12k1:none | conv96:gelu conv12"
    " shuffle2"
)


@pytest.mark.parametrize(
    ("count", "size", "shares"), [(31, 32, 1), (33, 32, 2), (70, 32, 3), (2, 128, 2), (1, 256, 1)]
)
def test_threads_share_the_images_of_a_wide_network(count: int, size: int, shares: int) -> None:
    model, given = make_model(WIDE), images(count, size)
    inference, calls = Inference(model), []
    forward = model.forward

    def counted(x: Tensor) -> Tensor:
        calls.append((len(x), torch.get_num_threads(), torch.is_grad_enabled()))
        return forward(x)

    model.forward = counted  # type: ignore[method-assign]
    with threads(3):
        answer = inference.restore(given)
    assert len(calls) == shares
    assert sum(length for length, _, _ in calls) == count
    assert {(number, gradient) for _, number, gradient in calls} == {
        (3 if shares == 1 else 1, False)
    }
    twin = copy.deepcopy(make_model(WIDE)).double()
    torch.testing.assert_close(answer.double(), twin.restore(given.double()), rtol=1e-4, atol=1e-4)


def test_a_network_in_training_mode_is_not_shared_out() -> None:
    text = "conv96 batchnorm conv3"
    with (
        threads(2),
        torch.no_grad(),
    ):  # the sums of batch statistics round otherwise with other threads
        answer = Inference(make_model(text).train()).restore(images(64, 32))
        whole = make_model(text).train().restore(images(64, 32))
    assert torch.equal(answer, whole)


def test_codes_of_a_wide_network_are_shared_out_too() -> None:
    model, given = make_model(WIDE), images(48, 32)
    assert isinstance(model.network, NetworkModule)
    with threads(2):
        code = Inference(model).encode(given)
        decoded = Inference(model).decode(code)
    torch.testing.assert_close(
        code, model.network.part("encoder")(model.normalize(given)).detach(), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(decoded, model.restore(given).detach(), rtol=1e-4, atol=1e-4)
