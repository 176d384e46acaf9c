"""Whatever the standard streams are: the right exit code, and one line at most."""

import importlib.util
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from caelab.cli import main
from caelab.commands import output
from caelab.commands.streams import HANDLER, prepare_streams, write_alternative
from caelab.progress import live, progress

CAELAB = f"{sys.executable} -m caelab"

needs_shell = pytest.mark.skipif(sys.platform == "win32", reason="needs a Unix shell")
needs_onnxruntime = pytest.mark.skipif(
    importlib.util.find_spec("onnxruntime") is None, reason="onnxruntime is not installed"
)
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("3×32×32 → 1,024 ← the code", "3x32x32 > 1,024 < the code"),
        ("±0.5 – 2² · σ, Äpfel, ½", "+-0.5 - 22 * sigma, Apfel, 1/2"),
        ("├── pool ─┤ ≤ ∞", "+-- pool -+ <= inf"),
        ("€ 漢 \udc80", "? ? ?"),
    ],
)
def test_characters_have_alternatives(text: str, plain: str) -> None:
    prepare_streams()
    assert text.encode("ascii", HANDLER).decode() == plain


def test_what_an_encoding_has_stays() -> None:
    prepare_streams()
    assert "2×½ Ä → ∞".encode("cp1252", HANDLER).decode("cp1252") == "2×½ Ä > inf"
    assert "2×½ Ä → ∞".encode("cp932", HANDLER).decode("cp932") == "2×1/2 A → ∞"
    with pytest.raises(UnicodeDecodeError):
        write_alternative(UnicodeDecodeError("ascii", b"\xff", 0, 1, "no"))


STUDY = """
[study]
name = "größen"
question = "?"
seeds = [0]
[base]
network = "conv4 pool conv4 | up conv3"
[factors."größe"]
"8×8" = "conv8 pool conv8 | up conv3"
"""

PRINTS = [
    (0, "models"),
    (0, "models --json"),
    (0, "describe reference"),
    (0, "describe unet-color --json"),
    (0, "glossary"),
    (0, "glossary PSNR"),
    (0, "study study.toml --dry-run"),
    (0, "train --help"),
    (2, "colorize none-größe.png"),
    (2, "describe conv8→pool"),
]


@pytest.mark.parametrize("encoding", ["cp1252", "cp932", "ascii"])
def test_every_console_shows_every_command(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    streams = {name: io.BytesIO() for name in ("stdout", "stderr")}
    for name, content in streams.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(content, encoding))
    for code, line in PRINTS:
        monkeypatch.setattr(sys, "argv", ["caelab", *line.split()])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == code, line
    # Click takes UTF-8 where Python thinks that a terminal has but ASCII.
    read = "utf-8" if encoding == "ascii" else encoding
    printed = streams["stdout"].getvalue().decode(read)
    assert "best-768" in printed
    assert "receptive field" in printed
    shown = "größe".encode(read, HANDLER).decode(read)
    assert shown in printed
    assert f"none-{shown}.png" in streams["stderr"].getvalue().decode(read)


class Terminal(io.TextIOWrapper):
    """A terminal of an old console."""

    def isatty(self) -> bool:
        return True


def test_progress_is_shown_in_a_narrow_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    terminal = Terminal(content, "cp1252")
    monkeypatch.setattr(sys, "stderr", terminal)
    prepare_streams()
    with progress("größe → 2", 3, unit="→") as bar:
        bar(1)
        bar.say("epoch 1 → best")
    with live(lambda: "│ σ → 2 │"):
        pass
    terminal.flush()
    assert "epoch 1 > best" in content.getvalue().decode("cp1252")
    assert "| sigma > 2 |" in content.getvalue().decode("cp1252")


def test_json_stays_json(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding in ("ascii", "cp932", "utf-8"):
        content = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding))
        prepare_streams()
        document = {"größe": "bad \udc80 name", "size": float("nan"), "arrow": "→"}
        output.print_json(document)
        sys.stdout.flush()
        assert json.loads(content.getvalue().decode(encoding)) == {**document, "size": None}


def test_the_encoding_of_a_process_is_kept() -> None:
    answer = subprocess.run(
        [*CAELAB.split(), "describe", "reference"],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
    )
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert "3×32×32" in answer.stdout.decode("cp1252")
    assert "< the code" in answer.stdout.decode("cp1252")


@needs_shell
def test_a_user_without_a_home_draws_without_a_word(tmp_path: Path) -> None:
    script = (
        "import contextlib, pwd\n"
        "def nobody(_): raise KeyError\n"
        "pwd.getpwuid = nobody\n"
        "from caelab.cli import main\n"
        "with contextlib.suppress(SystemExit): main()\n"
        "import caelab.plotting\n"
        "from caelab.files import cache_folder\n"
        "assert cache_folder().is_absolute()\n"
    )
    kept = {
        name: value for name, value in os.environ.items() if "CACHE" not in name and name != "HOME"
    }
    answer = subprocess.run(
        [sys.executable, "-c", script, "glossary", "PSNR"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=kept,
    )
    assert (answer.returncode, answer.stderr) == (0, "")
    assert not list(tmp_path.iterdir())


@needs_shell
@pytest.mark.parametrize(
    ("words", "code", "lines"),
    [
        ("glossary PSNR <&- >&- 2>&-", 0, 0),
        ("describe reference >&-", 0, 0),
        ("describe reference --size 33 2>&- >/dev/null", 0, 0),
        pytest.param(
            "colorize - -o - --runtime onnx <&- >/dev/null", 1, 1, marks=needs_onnxruntime
        ),
        pytest.param("describe reference >/dev/full", 1, 1, marks=needs_full),
        pytest.param("--help >/dev/full", 1, 1, marks=needs_full),
        pytest.param("describe reference --size 33 >/dev/null 2>/dev/full", 0, 0, marks=needs_full),
        pytest.param("describe nonsense 2>/dev/full", 2, 0, marks=needs_full),
        ("glossary | true; exit ${PIPESTATUS[0]}", 1, 0),
    ],
)
def test_a_closed_or_full_stream(words: str, code: int, lines: int) -> None:
    # A shell can close a descriptor, which `subprocess` cannot.
    answer = subprocess.run(
        ["bash", "-c", f"{CAELAB} {words}"], capture_output=True, text=True, check=False
    )
    assert (answer.returncode, answer.stdout) == (code, ""), answer
    assert len(answer.stderr.splitlines()) == lines, answer.stderr
