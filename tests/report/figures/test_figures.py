import itertools
import math
import re
from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from caelab.experiments.study_results import StudyRow
from caelab.report.architectures import Analysis, analyze
from caelab.report.figures import (
    Drawing,
    draw_code_size,
    draw_effects,
    draw_equal_size,
    draw_front,
    draw_reconstructions,
)
from caelab.report.figures.labels import label_lines, label_points
from caelab.report.figures.style import new_axes, plain

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
            label=label, factor=factor, level=level, network=label, seed=seed, run="", code_size=size, code_shape=code,
            narrowest=size, skip_around_code=skip, weights=weights, multiply_accumulates=weights * 200,
            seconds_per_epoch=2.5, epochs=10, validation_mse=error, test_mse=error,
            test_psnr=20.0,
        )
        for seed, error in enumerate(errors)
    ]  # fmt: skip


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


def drawings(analysis: Analysis) -> dict[str, Drawing | None]:
    return {
        "effects": draw_effects(analysis),
        "code-size": draw_code_size(analysis, LINEAR),
        "equal-size": draw_equal_size(analysis.equal_size, {"PCA, whole image": 0.0005}),
        **{front.cost: draw_front(front, analysis) for front in analysis.fronts},
    }


@pytest.fixture(scope="module")
def three() -> dict[str, Drawing | None]:
    return drawings(study(3))


def texts(svg: bytes) -> list[str]:
    root = ElementTree.fromstring(svg)
    return ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", ["effects", "code-size", "equal-size", "weights"])
def test_an_svg_keeps_its_text_and_stands_alone(
    three: dict[str, Drawing | None], name: str
) -> None:
    drawing = three[name]
    assert drawing is not None
    first = drawing.picture(name).data
    written = texts(first)
    assert any(label in written for label in ("kernel", "16×16×3"))
    links = re.findall(rb'(?:href="|url\()([^")]*)', first)
    assert links
    assert all(link.startswith(b"#") for link in links)
    assert set(re.findall(rb"'DejaVu Sans'[^;\"]*", first)) == {
        b"'DejaVu Sans', Verdana, Arial, sans-serif"
    }


def test_figures_drawn_alike_have_the_same_bytes() -> None:
    first, second = (draw_effects(study(1)) for _ in range(2))
    assert first
    assert second
    assert first.picture("effects").data == second.picture("effects").data


def test_pictures_can_share_a_page(three: dict[str, Drawing | None]) -> None:
    svgs = [drawing.picture(name).data for name, drawing in three.items() if drawing]
    ids = [re.findall(rb'\bid="([^"]+)"', svg) for svg in svgs]
    together = list(itertools.chain(*ids))
    assert together
    assert len(set(together)) == len(together)


def test_effects_are_grouped_and_say_their_intervals(three: dict[str, Drawing | None]) -> None:
    drawing = three["effects"]
    assert drawing is not None
    written = texts(drawing.picture("effects").data)
    assert written.count("kernel") == 1
    assert "×0.667 (0.667 to 0.667)" in written
    assert "2 lower it" not in drawing.caption
    assert (
        "1 lower it (filled circles), 3 raise it (squares), 0 are undetermined" in drawing.caption
    )
    assert "From ×0.667 (kernel 5) to ×3.33 (kernel 1)." in drawing.caption


def test_with_one_seed_there_are_no_intervals_and_it_is_said() -> None:
    analysis = study(1)
    effects, shapes = draw_effects(analysis), draw_equal_size(analysis.equal_size, {})
    assert effects
    assert "There is one seed, so there are no intervals" in effects.caption
    assert "×0.667" in texts(effects.picture("effects").data)
    assert shapes
    assert "There is one seed, so there are no intervals." in shapes.caption


def test_the_code_size_leaves_out_what_has_a_bracket_around_its_code(
    three: dict[str, Drawing | None],
) -> None:
    drawing = three["code-size"]
    assert drawing is not None
    assert "Left out of the fit, as a bracket runs around the code: around." in drawing.caption
    assert "of 8 networks" in drawing.caption
    assert "left out: a bracket around the code" in texts(drawing.picture("c").data)


def test_what_lies_below_a_linear_code_is_named() -> None:
    rows = [*network("base", (16, 8, 8), [0.003]), *network("good", (4, 8, 8), [0.002])]
    drawing = draw_code_size(analyze(rows), LINEAR)
    assert drawing is not None
    assert "Below the line of PCA, whole image: good." in drawing.caption
    assert (
        "Below the line of PCA, 4×4 patches: good." in drawing.caption
    )  # the base lies beyond its end
    assert "too few, or too alike, for a fit" in drawing.caption


def test_a_front_says_what_it_costs(three: dict[str, Drawing | None]) -> None:
    drawing = three["weights"]
    assert drawing is not None
    assert drawing.caption.startswith(
        "Test MSE against weights of 9 networks; 2 on the front. From 16×16×3 to around"
    )


def test_nothing_to_draw_is_no_figure() -> None:
    empty = analyze([])
    assert all(drawing is None for drawing in drawings(empty).values())
    alone = analyze(network("base", (16, 8, 8), [0.003]))
    assert draw_effects(alone) is None
    assert draw_equal_size(alone.equal_size, {}) is None
    assert draw_front(alone.fronts[0], alone) is None


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


def test_round_numbers_are_plain() -> None:
    assert [plain(value) for value in (0.00005, 0.5, 1.0, 20000.0, 0.003)] == [
        "0.00005",
        "0.5",
        "1",
        "20,000",
        "0.003",
    ]


def test_a_grid_of_reconstructions() -> None:
    images = np.linspace(0, 1, 2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4)
    estimates = {"one": images, "a network with a very long label": images}
    errors = {"one": 0.5, "a network with a very long label": 0.25}
    drawing = draw_reconstructions(images, estimates, errors, chosen="at even steps")
    assert (
        "a network with a very long label has the smallest error of these, 0.250" in drawing.caption
    )
    picture = drawing.picture("grid", "png")
    assert picture.data.startswith(b"\x89PNG")
    (axes,) = drawing.figure.axes
    shown = axes.images[0].get_array()
    assert shown.shape == (3 * 4 + 2, 2 * 4 + 1, 3)  # three rows, two columns, a pixel between
    np.testing.assert_array_equal(shown[:4, 5:], images[1].transpose(1, 2, 0))
    np.testing.assert_array_equal(shown[4], 1)


def test_labels_of_lines_that_are_close_stand_above_one_another() -> None:
    figure, axes = new_axes(4)
    axes.set_yscale("log")
    axes.set_ylim(4e-4, 6e-3)
    label_lines(axes, {"one": 5.3e-4, "another\nof two lines": 5.5e-4, "far away": 4e-3})
    renderer = FigureCanvasAgg(figure).get_renderer()
    one, another, far = (text.get_window_extent(renderer) for text in axes.texts)
    assert one.y1 < another.y0
    assert far.y0 < axes.transData.transform((0, 4e-3))[1] < far.y1  # beside its line
