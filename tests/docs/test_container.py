"""The commands of the Dockerfile work; with CAELAB_TEST_CONTAINER, they are run, without an engine.

An engine for containers is rarely at hand where the tests run. Running the commands takes minutes
and fetches 500 MB.
"""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
STAGES = HOME.joinpath("Dockerfile").read_text().split("\nFROM ")[1:]
IGNORED = HOME.joinpath(".dockerignore").read_text().split()


def instructions(stage: str, kind: str) -> list[str]:
    return re.findall(rf"^{kind} (.+)$", stage, re.MULTILINE)


def test_the_extras_exist() -> None:
    project = tomllib.loads(HOME.joinpath("pyproject.toml").read_text())["project"]
    (extras,) = re.findall(r"'/src\[(.+)\]'", STAGES[0])
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()


def test_what_is_copied_is_not_ignored() -> None:
    used = {word[5:] for word in re.findall(r"/src/[\w.]+", STAGES[0])} | {"pyproject.toml", "src"}
    assert all((HOME / name).exists() for name in used)
    assert not used & set(IGNORED)


def test_the_container_has_an_ordinary_user() -> None:
    (user,) = instructions(STAGES[1], "USER")
    assert user != "root"
    assert any(f"useradd --create-home {user}" in run for run in instructions(STAGES[1], "RUN"))


@pytest.mark.slow
@pytest.mark.skipif("CAELAB_TEST_CONTAINER" not in os.environ, reason="it fetches 500 MB")
def test_the_commands_make_a_small_environment(tmp_path: Path) -> None:
    source, environment = tmp_path / "src", tmp_path / "venv"
    shutil.copytree(HOME, source, ignore=shutil.ignore_patterns(*IGNORED))
    for command in instructions(STAGES[0], "RUN"):
        if not command.startswith("apt-get"):
            local = command.replace("/src", str(source)).replace("/venv", str(environment))
            subprocess.run(["sh", "-ec", local], check=True)
    shutil.rmtree(source)
    caelab = [environment / "bin" / "python", "-m", "caelab"]
    train = ["train", "conv4 pool | up conv3", "--data", "photos", "--train-size", "256"]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for words in (["models"], [*train, "--epochs", "1"], ["app", "--help"]):
        subprocess.run([*caelab, *words], check=True, cwd=tmp_path, env=clean)
    size = sum(file.lstat().st_size for file in environment.rglob("*"))
    # The base image has 120 MB, and the compiler 150 MB.
    assert size < 930e6, size
