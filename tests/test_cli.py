import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from caelab import __version__
from caelab.cli import COMMANDS
from caelab.cli import caelab as group
from caelab.commands.help import HelpCommand
from caelab.data import builtin_photos
from caelab.files import read_json
from caelab.pictures.model_files import FOLDER, RUN_WEIGHTS

NETWORK = "conv4 pool conv2 | up conv3"


Answer = subprocess.CompletedProcess[str]
Call = Callable[..., Answer]


def process(*arguments: object) -> Answer:
    command = [sys.executable, "-m", "caelab", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def small(pictures: Path, *arguments: object) -> tuple[object, ...]:
    return (
        "train",
        NETWORK,
        "--data",
        pictures,
        "--size",
        16,
        "--batch-size",
        16,
        "--epochs",
        2,
        *arguments,
    )


def assert_wrong_input(answer: Answer, said: str) -> None:
    assert answer.returncode == 2, answer
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr
    assert answer.stdout == ""


def test_help_names_every_command_and_imports_none() -> None:
    script = (
        "import sys\nfrom caelab.cli import caelab\n"
        "try: caelab(['--help'])\n"
        "finally: print(*sys.modules, sep='\\n', file=sys.stderr)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert all(f"  {name} " in answer.stdout for name in COMMANDS)
    modules = set(answer.stderr.split())
    assert "click" in modules
    assert not modules & {"torch", "numpy", "pydantic", "rich", "caelab.networks"}
    assert not modules & {f"caelab.commands.{name}" for name in COMMANDS}


def test_help_and_describe_do_without_torch() -> None:
    script = (
        "import sys\nfrom caelab.cli import COMMANDS, caelab\n"
        "calls = ['--help'], ['describe', 'reference'], *([name, '--help'] for name in COMMANDS)\n"
        "for words in calls:\n"
        "    try: caelab(words)\n"
        "    except SystemExit: pass\n"
        "    if {'torch', 'numpy'} & {*sys.modules}: sys.exit(f'{words} imports too much')\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert answer.stderr == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(caelab: Call, command: str) -> None:
    answer = caelab(command, "--help")
    assert answer.returncode == 0
    assert answer.stdout.startswith(f"Usage: caelab {command}")
    assert len(answer.stdout.splitlines()) <= 60


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_in_the_help_parse(caelab: Call, name: str) -> None:
    command = group.get_command(click.Context(group), name)
    assert isinstance(command, HelpCommand)
    assert command.examples
    printed = caelab(name, "--help").stdout
    for example in command.examples:
        assert example in printed
        program, first, *arguments = shlex.split(example)
        assert (program, first) == ("caelab", name)
        with command.make_context(name, arguments):
            pass


def test_version(caelab: Call) -> None:
    assert caelab("--version").stdout == f"caelab, version {__version__}\n"


def test_describe_prints_a_table_or_one_document(caelab: Call) -> None:
    assert "4,911" in caelab("describe", "reference").stdout
    told = json.loads(caelab("describe", "reference", "--json").stdout)
    assert told["weights"] == 4911
    assert told["code"]["size"] == 1024
    assert told["narrowest"]["size"] == 768


def test_describe_remarks_that_a_size_cannot_be_trained_on(caelab: Call) -> None:
    odd = caelab("describe", "reference", "--size", 33)
    assert odd.returncode == 0
    assert "3×33×33" in odd.stdout
    assert "32×32 or 36×36 pixels" in odd.stderr
    for words in (("reference", "--size", 36), ("conv8 pool", "--size", 32)):
        assert caelab("describe", *words).stderr == ""


@pytest.mark.parametrize(
    "arguments", [("train", "--from"), ("train", "--config"), ("study",), ("report",)]
)
def test_a_name_that_is_too_long_for_a_path_is_wrong_input(
    caelab: Call, arguments: tuple[str, ...]
) -> None:
    assert_wrong_input(caelab(*arguments, "x" * 3000), "xxx")


def test_a_mistyped_command_gets_a_suggestion(caelab: Call) -> None:
    assert_wrong_input(caelab("trian"), "Did you mean train?")
    assert_wrong_input(caelab("re"), "Did you mean report or restore or reconstruct or recipes?")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("describe",), "error: NETWORK is missing. Write caelab describe [OPTIONS] NETWORK."),
        (
            ("describe", "unet", "--size", 0),
            "--size 0: should be a side of 1 to 65536 pixels, or HEIGHTxWIDTH.",
        ),
        (("evaluate", "x", "--part", "a"), "--part a: should be train, validation, test or all."),
        (("colorize", "x", "--saturation", "x"), "--saturation x: should be a number from 0 to 10"),
        (("denoise", "x", "--degradation", "blur1"), "Use `caelab restore`"),
        (("describe", "unet", "--degradation", "blur1"), "See `caelab describe --help`."),
    ],
)
def test_errors_of_the_command_line_read_as_those_of_the_library(
    caelab: Call, arguments: tuple[object, ...], said: str
) -> None:
    assert_wrong_input(caelab(*arguments), said)


def test_a_wrong_network_is_shown_with_a_caret() -> None:
    answer = process("describe", "conv8 pol conv16 | up conv3")
    assert_wrong_input(answer, "conv8 pol conv16 | up conv3")
    lines = answer.stderr.splitlines()
    caret = next(number for number, line in enumerate(lines) if "^" in line)
    assert lines[caret].index("^") == lines[caret - 1].index("pol")


@pytest.mark.parametrize(
    ("option", "old", "new"), [("--normalize", "range", "none"), ("--init", "data", "lsuv")]
)
def test_an_old_value_is_refused_with_the_new_one(
    caelab: Call, option: str, old: str, new: str
) -> None:
    answer = caelab("train", NETWORK, option, old)
    assert_wrong_input(answer, option)
    assert f"'{new}'" in answer.stderr
    assert_wrong_input(caelab("train", NETWORK, option, "nonsense"), f"{option} nonsense: should")


def test_a_color_target_without_a_degradation_is_noted(
    caelab: Call, pictures: Path, tmp_path: Path
) -> None:
    arguments = small(pictures, "--runs", tmp_path, "--target", "chroma", "--epochs", 1)
    answer = caelab(*arguments)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr.count("--degradation is none") == 1
    assert "clean image" in answer.stderr
    assert caelab(*arguments, "--degradation", "gray").stderr == ""


def test_missing_cifar10_is_said_once(
    caelab: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CAELAB_DATA", raising=False)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("CAELAB_CIFAR10_URL", "http://127.0.0.1:9/nothing")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(builtin_photos, "PHOTOS", builtin_photos.PHOTOS[-1:])
    small = ("--epochs", 1, "--batch-size", 16, "--train-size", 64)
    for arguments in (
        ("data",),
        ("train", NETWORK, *small),
        ("evaluate", "reference", "--data", "auto"),
    ):
        answer = caelab(*arguments)
        assert answer.returncode == 0, answer.stderr
        assert (answer.stdout + answer.stderr).count("not CIFAR-10") == 1
        assert "photos" in answer.stdout


def test_a_run_from_the_command_line(caelab: Call, pictures: Path, tmp_path: Path) -> None:
    answer = process(*small(pictures, "--runs", tmp_path, "--json"))
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""  # quiet where nobody watches
    result = json.loads(answer.stdout)
    run = Path(result["run"])
    assert run.parent == tmp_path
    assert 0 < result["test"]["mse"] < 0.1

    again = caelab("train", "--config", run / "config.json", "--runs", tmp_path)
    assert again.returncode == 0
    assert f"run: {run}" in again.stdout
    assert f"{result['test']['mse']:.6f}" in again.stdout
    assert len(list(tmp_path.iterdir())) == 1  # the same run, not trained twice

    evaluated = json.loads(caelab("evaluate", run, "--json").stdout)
    assert evaluated["errors"]["mse"] == pytest.approx(result["test"]["mse"], rel=1e-5)
    table = caelab(
        "evaluate", run / "weights.safetensors", "--data", pictures, "--size", 16, "--part", "all"
    )
    assert "all images" in table.stdout
    assert "pca" not in table.stdout
    assert "none are measured with --part all" in table.stderr
    assert " 120\n" in table.stdout


def test_a_recipe_lies_beneath_the_options(caelab: Call, pictures: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f'network = "{NETWORK}"\nbatch_size = 16\nepochs = 7\n'
        f'data = {{ source = "{pictures}", size = 16 }}\n'
    )
    answer = caelab("train", "--config", recipe, "--epochs", 1, "--out", tmp_path / "run", "--json")
    assert json.loads(answer.stdout)["epochs"] == 1
    recipe.write_text("epoch = 7\n")
    assert_wrong_input(
        caelab("train", "--config", recipe),
        "there is no parameter epoch; did you mean epochs?",
    )
    # A wrong value is the file's or the command line's, and only the former has a line.
    recipe.write_text('[loss]\nkind = "mae"\n[optimizer]\nclip = 1.0\n')
    wrong = caelab("train", "--config", recipe, "--loss", "mae")
    assert_wrong_input(wrong, f"{recipe}, line 4: optimizer.clip is now called optimizer.grad_clip")
    assert "error: --loss mae: should be mse, " in wrong.stderr
    assert_wrong_input(caelab("train", "--config", recipe), f"{recipe}, line 2: loss.kind mae: ")
    config = tmp_path / "config.json"
    config.write_text('{"config": {"data": "photos", "batch": 0}}')
    assert_wrong_input(caelab("train", "--config", config), f"error: {config}: batch_size 0: ")
    recipe.write_text("epochs = = 7\n")
    assert_wrong_input(caelab("train", "--config", recipe), "cannot read the recipe")
    assert_wrong_input(
        caelab("train", "--config", tmp_path / "none.toml"), "cannot read the recipe"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--epochs", 0), "--epochs 0: should be at least 1"),
        (("--epochs", "many"), "--epochs many: should be a whole number"),
        (
            ("--learning-rate", "nan"),
            "--learning-rate nan: should be a finite number",
        ),
        (("--size", "48x"), "--size 48x: should be a side of 1 to 1024 pixels, or HEIGHTxWIDTH"),
        (("--channels", 2), "--channels 2: pictures are read as 3 channels, or 1"),
        (
            ("--channels", 1, "--degradation", "gray"),
            "--degradation gray takes images of 3 channels",
        ),
        (("--channels", 1, "--target", "chroma"), "--target needs color images"),
        (("--threads", 0), "error: --threads 0: should be a whole number, at least 1."),
        (("--batch", 16), "--batch is now --batch-size."),
        (("--impair", "gray"), "--impair is now --degradation."),
        (("--tta", "flop"), "--tta flop: should be"),
        (("--tta", "flip,"), "--tta flip,: should be"),
        (("--flips",), "Did you mean --flip?"),
        (("--color", "lab"), "Did you mean --color-space or --color-loss-weight?"),
        (("--rotate", 181), "--rotate 181: should be at most 180"),
        (("--size", 15), "15"),
        (("--device", "abacus"), "--device abacus: should be auto, cpu"),
        (("--split", "official"), "official"),
    ],
)
def test_wrong_options_leave_nothing_behind(
    caelab: Call, pictures: Path, tmp_path: Path, arguments: tuple[object, ...], said: str
) -> None:
    assert_wrong_input(caelab(*small(pictures, "--out", tmp_path / "run", *arguments)), said)
    assert not (tmp_path / "run").exists()


def test_a_file_in_the_way_is_said(caelab: Call, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert_wrong_input(
        caelab(*small(pictures, "--out", tmp_path / "file")), "is a file: a run needs a folder"
    )
    assert (tmp_path / "file").read_text() == "mine"


def test_a_diverging_run_fails_without_a_traceback(
    caelab: Call, pictures: Path, tmp_path: Path
) -> None:
    answer = caelab(
        *small(
            pictures, "--out", tmp_path / "run", "--learning-rate", "1e30", "--optimizer", "adam"
        )
    )
    assert answer.returncode == 1
    assert answer.stderr.startswith("failed: the loss is not a finite number in epoch 1")
    assert "Traceback" not in answer.stderr


def test_control_c_saves_and_exits_130(pictures: Path, tmp_path: Path) -> None:
    import signal

    arguments = small(pictures, "--out", tmp_path / "run", "--epochs", 5000, "--optimizer", "adam")
    training = subprocess.Popen(
        [sys.executable, "-m", "caelab", *map(str, arguments)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    training.send_signal(signal.SIGINT)
    _, said = training.communicate(timeout=60)
    assert training.returncode == 130
    assert "run the same command again" in said
    assert (tmp_path / "run" / "checkpoint.pt").exists()
    assert not (tmp_path / "run" / "result.json").exists()


def test_data_says_what_there_is(caelab: Call, pictures: Path, tmp_path: Path) -> None:
    told = json.loads(
        caelab(
            "data", "--data", pictures, "--size", 16, "--json", "--sheet", tmp_path / "sheet.png"
        ).stdout
    )
    assert told["counts"] == {"train": 96, "validation": 12, "test": 12}
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    assert_wrong_input(caelab("data", "--data", tmp_path / "nowhere"), "nowhere")


def test_control_c_that_was_swallowed_on_the_way_is_no_fault() -> None:
    """As an import does that is interrupted, and then fails otherwise."""
    code = """
import contextlib, signal, sys, types, click
from caelab.cli import main

@click.command()
def command():
    with contextlib.suppress(KeyboardInterrupt):
        if "press" in sys.argv[0]:
            signal.raise_signal(signal.SIGINT)
    raise RecursionError("half of a library")

sys.modules["caelab.commands.describe"] = types.SimpleNamespace(command=command)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = [sys.argv[1], "describe"]
main()
"""
    pressed, not_pressed = (
        subprocess.run(
            [sys.executable, "-c", code, name], capture_output=True, text=True, check=False
        )
        for name in ("pressed", "not")
    )
    assert (pressed.returncode, pressed.stdout, pressed.stderr) == (130, "", "interrupted\n")
    assert not_pressed.returncode == 1
    assert "RecursionError: half of a library" in not_pressed.stderr


def test_describe_takes_height_and_width(caelab: Call) -> None:
    done = caelab("describe", "conv8 pool | up conv3", "--size", "48x96", "--json")
    assert json.loads(done.stdout)["code"]["shape"] == [8, 24, 48]
    for wrong in ("0", "4x", "48x96x3", "70000"):
        assert caelab("describe", "reference", "--size", wrong).returncode == 2


def test_describe_takes_a_model_with_its_size_and_channels(caelab: Call, tmp_path: Path) -> None:
    file = FOLDER / "reference.safetensors"
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(file, run / RUN_WEIGHTS)
    for model in (file, run):
        told = json.loads(caelab("describe", model, "--json").stdout)
        assert (told["weights"], told["code"]["size"]) == (4911, 1024)
    # The shipped model of colors has gray inputs; options take precedence over the card.
    gray = json.loads(caelab("describe", "colorize", "--json").stdout)
    assert gray["weights"] == read_json(FOLDER / "colorize.json")["weights"]
    larger = json.loads(caelab("describe", run, "--size", 64, "--channels", 1, "--json").stdout)
    assert larger["code"]["shape"] == [16, 16, 16]
    assert larger["weights"] == 4911 - 2 * 8 * 3 * 3  # two input channels less in conv8
    for wrong in (tmp_path, tmp_path / "mistyped", FOLDER / "reference.json"):
        assert_wrong_input(caelab("describe", wrong), str(wrong))
