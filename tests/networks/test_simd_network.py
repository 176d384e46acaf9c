import copy
import ctypes
import math
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from caelab.errors import InputError
from caelab.kernels.compiler import find_compiler
from caelab.kernels.simd import LIBRARY, Affine, Chain, SimdProgram
from caelab.networks import describe
from caelab.networks.build import build
from caelab.networks.network_module import NetworkModule
from caelab.networks.parser import parse
from caelab.networks.simd_network import chain_of, make_simd_program

needs_compiler = pytest.mark.skipif(not find_compiler(), reason="there is no C compiler")

NETWORKS = [
    "conv8 pool conv12 pool conv16 | up conv12 up conv3",
    "conv8k5 pool conv12k5 avgpool conv16k5:leaky | up conv12k5:leaky up conv3k5",
    "conv8s2 conv12s2 conv16:none | deconv12k2s2 deconv8k4s2 conv3k1",
    "conv8v pool conv12v pool conv64v | deconv12k6s3v deconv3k4s2v",
    "unshuffle4 conv5d2 conv48k1 shuffle4",
    "conv7 pool4 conv5 up4 conv9k7:none conv3",
    "conv4 pool:relu conv6k2 pool:leaky conv2 | up4 up conv3",
    "conv1 conv2 conv3",
    "pool up conv3",
]


def network(text: str, size: int = 32) -> NetworkModule:
    built = build(parse(text), size=size, generator=torch.Generator().manual_seed(3))
    for parameter in built.parameters():  # biases begin at zero, which would hide their errors
        if parameter.dim() == 1:
            nn.init.normal_(parameter, 0, 0.1, generator=torch.Generator().manual_seed(4))
    return built.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def images(count: int, size: int = 32) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(5))


def native() -> ctypes.CDLL:
    return LIBRARY.functions


def compiled(
    built: NetworkModule,
    size: int = 32,
    loops: ctypes.CDLL | None = None,
    input_affine: Affine | None = None,
    output_affine: Affine | None = None,
) -> SimdProgram:
    chain = chain_of(built.layers_of("whole"), (3, size, size))
    assert chain is not None
    return SimdProgram(
        chain,
        loops or native(),
        [
            getattr(layer, name, None)
            for layer in built.layers_of("whole")
            for name in ("weight", "bias")
        ],
        input_affine=input_affine,
        output_affine=output_affine,
    )


def pull(answer: Tensor, parameters: list[nn.Parameter]) -> list[Tensor]:
    """Gradients of a random linear form of the answer."""
    weights = torch.randn(
        answer.shape, generator=torch.Generator().manual_seed(6), dtype=torch.float64
    )
    return list(torch.autograd.grad((answer * weights.to(answer)).sum(), parameters))


def require_exact(
    built: NetworkModule,
    fast: SimdProgram,
    x: Tensor,
    around: Callable[[NetworkModule, Tensor], Tensor] = lambda twin, x: twin(x),
) -> None:
    """Compare with the float64 twin: the error must be rounding, relative to what is compared as a
    whole."""
    twin = copy.deepcopy(built).double()
    exact, answer = around(twin, x.double()), fast(x)
    assert answer.shape == exact.shape
    assert distance(answer, exact) < 2e-6
    pairs = zip(
        pull(answer, list(built.parameters())), pull(exact, list(twin.parameters())), strict=True
    )
    for gradient, expected in pairs:
        assert distance(gradient, expected) < 2e-5


def require_learns(
    built: NetworkModule, fast: SimdProgram, count: int, scale: Tensor, shift: Tensor
) -> None:
    """Compare what is learnt in one go with the float64 twin's; the answer is scaled and
    shifted."""
    generator = torch.Generator().manual_seed(8)
    size = math.prod(fast.chain.shapes[0])
    data = torch.randint(0, 256, (count + 5, size), dtype=torch.uint8, generator=generator)
    rows = torch.randperm(count + 5, generator=generator)[:count]
    error, gradients = fast.mse_gradient(data, rows)

    channels, height, width = fast.chain.shapes[0]
    x = (data[rows].double() / 255).view(count, height, width, channels).permute(0, 3, 1, 2)
    twin = copy.deepcopy(built).double()
    answer = twin(x) * scale.double().view(-1, 1, 1) + shift.double().view(-1, 1, 1)
    exact = (answer - x).square().mean()
    assert error == pytest.approx(exact.item(), rel=2e-6)
    pairs = zip(gradients, torch.autograd.grad(exact, list(twin.parameters())), strict=True)
    for gradient, expected in pairs:
        assert gradient.shape == expected.shape
        assert distance(gradient, expected) < 2e-5


def distance(one: Tensor, exact: Tensor) -> float:
    return float(
        (one.detach().double() - exact.detach()).norm() / exact.detach().norm().clamp_min(1e-30)
    )


@needs_compiler
@pytest.mark.parametrize("text", NETWORKS)
def test_answers_and_gradients_are_those_of_a_float64_twin(text: str) -> None:
    built = network(text)
    require_exact(built, compiled(built), images(37))


@needs_compiler
@pytest.mark.parametrize("options", ["-mno-avx512f", "-mno-avx"])
def test_narrower_vectors_compute_the_same(options: str) -> None:
    try:
        loops = LIBRARY.load((*find_compiler(), options))
    except subprocess.SubprocessError:
        pytest.skip(f"the compiler has no {options}")
    assert loops.lanes() < 16
    for text in NETWORKS[:4]:
        built = network(text)
        require_exact(built, compiled(built, loops=loops), images(13))
        require_learns(built, compiled(built, loops=loops), 13, torch.ones(3), torch.zeros(3))


def at_a_kink(built: NetworkModule, x: Tensor) -> bool:
    """Whether a rectifier or a maximum is so near to changing its mind that rounding, a millionth,
    may do it.

    What is linear moves to one side for a change of the weights, and to the other for the opposite
    one.
    """
    gradients = []
    for change in (-1e-6, 0.0, 1e-6):
        twin, generator = copy.deepcopy(built).double(), torch.Generator().manual_seed(7)
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter *= 1 + change * torch.randn(
                    parameter.shape, generator=generator, dtype=torch.float64
                )
        gradients.append(pull(twin(x.double()), list(twin.parameters())))
    below, here, above = gradients
    return any(
        distance(other, one) > 1e-5
        for side in (below, above)
        for other, one in zip(side, here, strict=True)
    )


LAYERS = st.one_of(
    st.builds(
        "conv{}k{}{}{}".format,
        st.integers(1, 9),
        st.integers(1, 5),
        st.sampled_from(["", "s2", "s3", "d2", "v", "p2"]),
        st.sampled_from(["", ":none", ":leaky"]),
    ),
    st.builds("up conv{}k{}".format, st.integers(1, 9), st.sampled_from([1, 3, 5])),
    st.builds("deconv{}k{}s{}".format, st.integers(1, 9), st.integers(2, 4), st.integers(1, 2)),
    st.sampled_from(["pool", "pool3", "avgpool", "up", "pool:relu", "unshuffle2"]),
)


@needs_compiler
@settings(max_examples=60, deadline=None)
@example(["up conv5k1", "up conv1k5", "deconv3k4s2"], 9, 3)  # at a kink
@given(st.lists(LAYERS, min_size=1, max_size=5), st.integers(7, 16), st.integers(1, 20))
def test_any_chain_of_layers_is_computed(layers: list[str], size: int, count: int) -> None:
    text = " ".join([*layers, "conv3"])
    try:
        if max(math.prod(row.shape) for row in describe(parse(text), size=size).rows) > 50_000:
            return
    except InputError:  # a shape that does not fit
        return
    built, x = network(text, size), images(count, size)
    assume(not at_a_kink(built, x))
    fast = compiled(built, size)
    require_exact(built, fast, x)
    if fast.keeps_shape:
        require_learns(built, fast, count, torch.ones(3), torch.zeros(3))


@needs_compiler
@pytest.mark.parametrize("count", [1, 15, 16, 17, 40])
@pytest.mark.parametrize("text", [NETWORKS[0], NETWORKS[4], "pool up conv3"])
def test_from_bytes_to_the_gradient_in_one_go(text: str, count: int) -> None:
    built, scale, shift = (
        network(text),
        torch.tensor([2.0, 0.5, 1.5]),
        torch.tensor([-0.5, 0.25, 0.0]),
    )
    fast = compiled(built, output_affine=(scale, shift))
    require_learns(built, fast, count, scale, shift)
    data, rows = torch.randint(0, 256, (40, 3072), dtype=torch.uint8), torch.arange(count)
    for one, other in zip(
        fast.mse_gradient(data, rows)[1], fast.mse_gradient(data, rows)[1], strict=True
    ):
        assert torch.equal(one, other)  # what was before in the memory has no say


@needs_compiler
def test_what_is_no_number_is_learnt_to_be_so() -> None:
    built = network(NETWORKS[0])
    with torch.no_grad():
        next(built.parameters()).fill_(math.nan)
    error, _ = compiled(built).mse_gradient(
        torch.zeros(3, 3072, dtype=torch.uint8), torch.arange(3)
    )
    assert math.isnan(error)


@needs_compiler
def test_an_image_s_answer_depends_on_no_other_image() -> None:
    fast, x = compiled(network(NETWORKS[0])), images(37)
    whole = fast(x)
    for count in (1, 15, 16, 17, 36):
        assert torch.equal(fast(x[:count]), whole[:count])


@needs_compiler
@pytest.mark.parametrize("options", [(), ("-mno-avx512f",)])
def test_memory_of_one_layout_is_not_used_for_another(options: tuple[str, ...]) -> None:
    # With 16 lanes, four groups' tape is as long as the scratch: borders of one are not borders of
    # the other.
    built, x = network("conv3k5 pool conv3k3 | up conv3", 8), images(64, 8)
    try:
        fast = compiled(built, 8, LIBRARY.load((*find_compiler(), *options)))
    except subprocess.SubprocessError:
        pytest.skip("the compiler has no such option")
    for count in (64, 64, 9, 33, 64):
        require_exact(built, fast, x[:count])
        with torch.no_grad():
            assert (
                distance(fast(x[:count]), copy.deepcopy(built).double()(x[:count].double())) < 2e-6
            )


@needs_compiler
def test_without_a_gradient_the_bits_are_the_same() -> None:
    fast, x = compiled(network(NETWORKS[0])), images(70)
    with torch.no_grad():
        assert torch.equal(fast(x), fast(x))
        answer = fast(x)
        assert fast(x[:0]).shape == (0, 3, 32, 32)
    assert torch.equal(answer, fast(x))
    assert not answer.requires_grad


@needs_compiler
def test_normalisations_are_part_of_the_pass() -> None:
    built, x = network("conv8 pool conv5 | up conv3"), images(20)
    scale, shift = torch.tensor([2.0, 3.0, 0.5]), torch.tensor([-1.0, 0.25, 4.0])
    one, other = (each.double().view(3, 1, 1) for each in (scale, shift))
    fast = compiled(built, input_affine=(scale, shift), output_affine=(shift, scale))
    require_exact(built, fast, x, lambda twin, x: twin(x * one + other) * other + one)


@needs_compiler
def test_passes_do_not_disturb_each_other() -> None:
    built, x = network(NETWORKS[0]), images(40)
    fast, parameters = compiled(built), list(built.parameters())
    expected = [pull(fast(part), parameters) for part in (x[:20], x[20:])]
    first, second = fast(x[:20]), fast(x[20:])  # both forward, then both back
    assert all(map(torch.equal, pull(first, parameters), expected[0]))
    assert all(map(torch.equal, pull(second, parameters), expected[1]))

    told: dict[int, list[bool]] = {0: [], 1: []}

    def work(which: int) -> None:
        for _ in range(20):
            gradients = pull(fast(x[20 * which : 20 * which + 20]), parameters)
            told[which].append(all(map(torch.equal, gradients, expected[which])))

    threads = [threading.Thread(target=work, args=(which,)) for which in told]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == {0: [True] * 20, 1: [True] * 20}


@needs_compiler
@pytest.mark.parametrize("text", ["conv4 conv3", "conv4 pool conv5:leaky | up conv3"])
def test_what_is_no_number_is_not_rectified_away(text: str) -> None:
    built = network(text)
    with torch.no_grad():
        next(built.parameters()).fill_(math.nan)
    assert built(images(3)).isnan().all()
    assert compiled(built)(images(3)).isnan().all()
    x = images(3)
    x[1, 0, 8, 8] = math.nan  # of one image, whose neighbors in the lanes stay numbers
    unknown = compiled(network(text))(x).isnan().flatten(1).any(1)
    assert unknown.tolist() == [False, True, False]


@needs_compiler
def test_memory_is_used_again() -> None:
    built = network(NETWORKS[0])
    fast = compiled(built)
    for _ in range(5):
        pull(fast(images(20)), list(built.parameters()))
    for memory in (fast.tapes, fast.scratches):
        assert [len(free) for free in memory._free.values()] == [1]


@pytest.mark.parametrize(
    "text",
    [
        "conv8:gelu conv3",
        "conv8 (conv8) conv3",
        "conv8 [pool conv8 up conv8] conv3",
        "conv8 norm conv3",
        "conv8 upbilinear pool conv3",
        "pool8 up8 conv3",
        "conv96 conv96 | conv96 conv3",
        "pool dense12 | dense3h32w32",
    ],
)
def test_what_it_cannot_compute_or_not_faster_is_left_to_pytorch(text: str) -> None:
    assert make_simd_program(network(text).layers_of("whole"), (3, 32, 32)) is None


@needs_compiler
def test_tensors_whose_places_32_bits_do_not_count_are_left_to_pytorch() -> None:
    chain = chain_of(network("conv200 conv3").layers_of("whole"), (3, 32, 32))
    assert chain is not None
    shapes = [((3, side, side), (200, side, side), (3, side, side)) for side in (256, 1024)]
    chains = [Chain(operations=chain.operations, shapes=each) for each in shapes]
    SimdProgram(chains[0], native(), [])
    with pytest.raises(ValueError, match="a tensor or a kernel is larger"):
        SimdProgram(chains[1], native(), [])


def test_other_numbers_than_float32_are_left_to_pytorch() -> None:
    doubled, moved = network(NETWORKS[0]).double(), network(NETWORKS[0]).to("meta")
    assert make_simd_program(doubled.layers_of("whole"), (3, 32, 32)) is None
    assert make_simd_program(moved.layers_of("whole"), (3, 32, 32)) is None


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A cache of its own, and no library remembered; the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    vars(LIBRARY).pop("loaded", None)
    yield tmp_path
    vars(LIBRARY).pop("loaded", None)


@pytest.mark.parametrize("compiler", ["", "false", "no-such-compiler --really"])
def test_without_a_compiler_pytorch_computes(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, compiler: str
) -> None:
    monkeypatch.setenv("CC", compiler)
    assert make_simd_program(network(NETWORKS[0]).layers_of("whole"), (3, 32, 32)) is None
    assert not list(fresh.rglob("*.so"))
