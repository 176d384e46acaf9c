import itertools
import math
import re
from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from caelab.experiments.study_results import StudyRow
from caelab.plotting import draw_image_rows, new_axes, render
from caelab.report.architectures import Analysis, analyze
from caelab.report.figures.effects import draw_effects
from caelab.report.figures.networks import (
    draw_code_size,
    draw_equal_size,
    draw_front,
    label_points,
)
from caelab.report.language import read_language

EN = read_language("en")
LINEAR = {
    "PCA, whole image": {64: 0.008, 256: 0.0026, 1024: 0.0002},
    "PCA, 4×4 patches": {256: 0.005, 768: 0.001},
}


def network(
    label: str,
    code: tuple[int, int, int],
    errors: Sequence[float],
    *,
    factor: str = "",
    weights: int = 5000,
    skip: bool = False,
) -> list[StudyRow]:
    level, size = label.rpartition(" ")[2] if factor else "", math.prod(code)
    return [
        StudyRow(
            label=label,
            factor=factor,
            level=level,
            network=label,
            seed=seed,
            run="",
            code_size=size,
            code_shape=code,
            narrowest=size,
            skip_around_code=skip,
            weights=weights,
            multiply_accumulates=weights * 200,
            seconds_per_epoch=2.5,
            epochs=10,
            validation_mse=error,
            test_mse=error,
            test_psnr=20.0,
        )
        for seed, error in enumerate(errors)
    ]


def study(seeds: int) -> Analysis:
    noise = np.array([1.0, 1.02, 0.99])[:seeds]
    rows = [
        network("base", (16, 8, 8), 0.003 * noise),
        network("kernel 5", (16, 8, 8), 0.002 * noise, factor="kernel", weights=9000),
        network("code 64", (1, 8, 8), 0.009 * noise, factor="code", weights=3000),
        network("kernel 1", (16, 8, 8), 0.01 * noise, factor="kernel", weights=700),
        network("code 256", (4, 8, 8), 0.005 * noise, factor="code", weights=4000),
        network("16×16×3", (3, 16, 16), 0.0012 * noise, weights=600),
        network("8×8×12", (12, 8, 8), 0.0016 * noise, weights=1200),
        network("4×4×48", (48, 4, 4), 0.0038 * noise, weights=6000),
        network("around", (8, 8, 8), 0.0001 * noise, weights=5000, skip=True),
    ]
    return analyze(list(itertools.chain(*rows)))


def drawings(analysis: Analysis) -> dict[str, Figure | None]:
    return {
        "effects": draw_effects(analysis, EN),
        "code-size": draw_code_size(analysis, LINEAR, EN),
        "equal-size": draw_equal_size(analysis.equal_size, {"PCA, whole image": 0.0005}, EN),
        "weights": draw_front(analysis, EN),
    }


@pytest.fixture(scope="module")
def three() -> dict[str, Figure | None]:
    return drawings(study(3))


def texts(svg: bytes) -> list[str]:
    root = ElementTree.fromstring(svg)
    return ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", ["effects", "code-size", "equal-size", "weights"])
def test_an_svg_keeps_its_text_and_stands_alone(three: dict[str, Figure | None], name: str) -> None:
    drawing = three[name]
    assert drawing is not None
    first = render(drawing, name, "svg")
    written = texts(first)
    assert any(label in written for label in ("kernel 5", "16×16×3"))
    links = re.findall(rb'(?:href="|url\()([^")]*)', first)
    assert links
    assert all(link.startswith(b"#") for link in links)
    assert set(re.findall(rb"'DejaVu Sans'[^;\"]*", first)) == {
        b"'DejaVu Sans', Verdana, Arial, sans-serif"
    }


def test_figures_drawn_alike_have_the_same_bytes() -> None:
    first, second = (draw_effects(study(1), EN) for _ in range(2))
    assert first
    assert second
    assert render(first, "effects", "svg") == render(second, "effects", "svg")


def test_pictures_can_share_a_page(three: dict[str, Figure | None]) -> None:
    svgs = [render(drawing, name, "svg") for name, drawing in three.items() if drawing]
    ids = [re.findall(rb'\bid="([^"]+)"', svg) for svg in svgs]
    together = list(itertools.chain(*ids))
    assert together
    assert len(set(together)) == len(together)


def test_effects_show_their_intervals(three: dict[str, Figure | None]) -> None:
    assert three["effects"] is not None
    written = texts(render(three["effects"], "effects", "svg"))
    levels = [text for text in written if text.startswith(("kernel ", "code ", "another"))]
    # Those that keep the size of the code come first.
    held, other = EN.word("held_code"), EN.word("other_code")
    assert levels == [held, "kernel 5", "kernel 1", other, "code 64", "code 256"]
    assert any(re.fullmatch(r"×0\.667 \(0\.\d+–0\.\d+\)", text) for text in written)


def test_with_one_seed_there_are_no_intervals() -> None:
    effects = draw_effects(study(1), EN)
    assert effects
    written = texts(render(effects, "effects", "svg"))
    assert "×0.667" in written
    assert not any("–" in text for text in written)


def test_the_code_size_marks_what_has_a_skip_connection_around_its_code(
    three: dict[str, Figure | None],
) -> None:
    assert three["code-size"] is not None
    axes = three["code-size"].axes[0]
    stars = next(line for line in axes.lines if line.get_marker() == "*")
    assert stars.get_xydata().tolist() == [[512, pytest.approx(0.0001, rel=0.05)]]


def test_the_code_size_joins_those_that_differ_in_it_alone(
    three: dict[str, Figure | None],
) -> None:
    assert three["code-size"] is not None
    lines = three["code-size"].axes[0].lines
    family = next(line for line in lines if line.get_label() == EN.word("family"))
    assert family.get_xdata().tolist() == [64, 256, 1024]


def test_a_front_is_a_staircase(three: dict[str, Figure | None]) -> None:
    assert three["weights"] is not None
    squares = next(line for line in three["weights"].axes[0].lines if line.get_marker() == "s")
    assert squares.get_xdata().tolist() == [600, 5000]


def test_nothing_to_draw_is_no_figure() -> None:
    empty = analyze([])
    assert all(drawing is None for drawing in drawings(empty).values())
    alone = analyze(network("base", (16, 8, 8), [0.003]))
    assert draw_effects(alone, EN) is None
    assert draw_equal_size(alone.equal_size, {}, EN) is None
    assert draw_front(alone, EN) is None


def test_labels_do_not_lie_on_each_other_or_on_points() -> None:
    figure, axes = new_axes(4)
    rng = np.random.default_rng(0)
    points = rng.uniform(0.3, 0.7, (9, 2))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    label_points(axes, [f"label {index}" for index in range(9)], points)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.canvas.draw()
    boxes = [text.get_window_extent(renderer) for text in axes.texts if text.get_text()]
    assert len(boxes) == 9
    assert not any(first.overlaps(second) for first, second in itertools.combinations(boxes, 2))
    places = axes.transData.transform(points)
    assert not any(box.contains(*place) for box in boxes for place in places)


def test_names_are_drawn_as_they_are_written() -> None:
    label = "<b>|*`\"' $\\x$ ü 😀"
    rows = [*network("base", (16, 8, 8), [0.003] * 2)]
    rows += network(label, (16, 8, 8), [0.002] * 2, factor="kernel", weights=9)
    rows += network(f"{label} 2", (1, 8, 8), [0.009] * 2, factor="code", weights=99)
    for name, drawing in drawings(analyze(rows)).items():
        if drawing is not None:
            assert any(label in text for text in texts(render(drawing, name, "svg"))), name
    images = np.zeros((1, 3, 4, 4), np.float32)
    assert render(draw_image_rows({label: images}), "rows", "png").startswith(b"\x89PNG")


def test_rows_of_images() -> None:
    images = np.linspace(0, 1, 2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4)
    label = "a network with a label that is too long for one line"
    figure = draw_image_rows({"original": images, "one": images, label: images})
    assert render(figure, "grid", "png").startswith(b"\x89PNG")
    (axes,) = figure.axes
    shown = axes.images[0].get_array()
    assert shown.shape == (3 * 4 + 2, 2 * 4 + 1, 3)  # three rows, two columns, a pixel between
    np.testing.assert_array_equal(shown[:4, 5:], images[1].transpose(1, 2, 0))
    np.testing.assert_array_equal(shown[4], 1)
    written = [text.get_text() for text in axes.get_yticklabels()]
    assert [text.replace("\n", " ") for text in written] == ["original", "one", label]
    assert max(map(len, "\n".join(written).split("\n"))) <= 26


def test_linear_codes_of_the_size_are_named_with_their_error() -> None:
    figure = draw_equal_size(study(1).equal_size, {"PCA, whole image": 0.0005}, EN)
    assert figure
    assert "PCA, whole image: 0.000500" in texts(render(figure, "equal-size", "svg"))
