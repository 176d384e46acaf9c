"""Attacks on commands and readers: ``python attack.py SECONDS SEED [GROUP...]``.

The groups are strikes, directories, texts and files; without a group, there are all.

Everything is imported once. Each attack then happens in a process that is forked from this one,
with bounds on its memory and its time. A JSON document with the number of attacks of each kind, and
what they found, is printed at the end.
"""

import contextlib
import errno
import hashlib
import importlib
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import events
import fuzz
import mutation
import numpy as np
from PIL import Image

import caelab.cli

# What commands import, so that each does not have to: imports start no threads.
import caelab.commands.report
import caelab.commands.restore
import caelab.commands.study
import caelab.commands.train
import caelab.experiments.run
import caelab.experiments.study_runner
import caelab.pictures.open_model
import caelab.plotting
from caelab.kernels import compiler, convolution, simd, soap

MEMORY = 2 * 2**30
"""Address space that an attacked process may take besides what it has at its start."""

SECONDS = 300
"""Time that a command may take, with all that it does again."""

TIMES = ("seconds", "started", "memory", "resumed", "commit")
"""Parts of names of values that differ between equal runs."""

PLAIN = ["--threads", "1"]

LIBRARIES = (convolution.LIBRARY, simd.LIBRARY, soap.LIBRARY)

OWN = ["result.json", "environment.json", "study.json"]


@dataclass
class Findings:
    """What came of the attacks of a kind."""

    count: int = 0
    found: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Ended:
    """End of a command: its exit code, or minus the signal; what it said; its events; its time."""

    code: int
    said: str
    events: int
    seconds: float


def in_child(function: Callable[[], int], counted: Path, seconds: int = SECONDS) -> Ended:
    """Call a function in a forked process, which writes the number of its events to a file."""
    return begin(function, counted, seconds)()


def begin(
    function: Callable[[], int], counted: Path, seconds: int = SECONDS
) -> Callable[[], Ended]:
    """Begin a function in a forked process; return what waits for its end."""
    counted.unlink(missing_ok=True)
    started = time.monotonic()
    # Not a file, which would count among those that may not grow.
    output, its_end = os.pipe()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.dup2(its_end, 1)
            os.dup2(its_end, 2)
            os.close(its_end)
            signal.alarm(seconds)
            _, most = resource.getrlimit(resource.RLIMIT_AS)
            taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, most))
            code = function()
        except SystemExit as ended:
            code = int(ended.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)
    os.close(its_end)

    def wait() -> Ended:
        # Its output fits into the pipe if it is read late.
        with os.fdopen(output, "rb") as stream:
            said = stream.read().decode(errors="replace")
        _, status = os.waitpid(child, 0)
        number = int(counted.read_text()) if counted.exists() else 0
        code = os.waitstatus_to_exitcode(status)
        return Ended(code, said, number, time.monotonic() - started)

    return wait


@dataclass(frozen=True)
class Scenario:
    """A command that is attacked.

    Attributes:
        name: Its name.
        words: Its words.
        made: What must lie in the folder before.
        compiles: Whether it compiles the C sources, and its caches are compared.
    """

    name: str
    words: tuple[str, ...]
    made: Callable[[Path], None] = lambda _: None
    compiles: bool = False

    def call(
        self, folder: Path, number: int = -1, happen: Callable[[], None] = lambda: None
    ) -> Ended:
        """Call the command in a folder; let something happen at an event."""
        return self.begin(folder, number, happen)()

    def begin(
        self, folder: Path, number: int = -1, happen: Callable[[], None] = lambda: None
    ) -> Callable[[], Ended]:
        """Begin the command in a folder; return what waits for its end."""
        counted = folder.parent / f"count{number}"

        def work() -> int:
            enter(folder)
            for library in LIBRARIES if self.compiles else ():
                del library.loaded
            count = events.at(number, happen)
            try:
                sys.argv = ["caelab", *self.words]
                caelab.cli.main()
            finally:
                total = count()
                _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
                events.at(-1, lambda: None)
                counted.write_text(str(total))
            return 0

        return begin(work, counted)


def enter(folder: Path) -> None:
    """Work in a folder, with caches and temporary files of its own."""
    os.chdir(folder)
    for name in ("tmp", "cache"):
        (folder / name).mkdir(exist_ok=True)
    os.environ |= {"TMPDIR": str(folder / "tmp"), "XDG_CACHE_HOME": str(folder / "cache")}
    tempfile.tempdir = None


def digests(folder: Path, *, caches: bool) -> dict[str, str]:
    """Return a digest of each file, without the times that it states."""
    found = {}
    passed = ("tmp/",) if caches else ("tmp/", "cache/")
    for file in sorted(folder.rglob("*")):
        name = str(file.relative_to(folder))
        if not file.is_file() or file.name == ".lock" or name.startswith(passed):
            continue
        content = file.read_bytes()
        if file.suffix == ".json":
            content = json.dumps(timeless(json.loads(content)), sort_keys=True).encode()
        elif file.suffix == ".csv":
            rows = [line.split(",") for line in content.decode().splitlines()]
            kept = [at for at, head in enumerate(rows[0]) if not any(t in head for t in TIMES)]
            content = repr([[row[at] for at in kept] for row in rows]).encode()
        elif file.suffix in (".html", ".md"):
            content = re.sub(rb"[0-9.:,]+ ?(s|min|MB)\b", b"", content)
        elif file.suffix == ".pt":
            # Its records have times; its weights are compared by the file of the weights.
            content = b""
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: timeless(each)
            for name, each in value.items()
            if not any(word in name for word in TIMES)
        }
    return [timeless(each) for each in value] if isinstance(value, list) else value


def leftovers(folder: Path) -> list[str]:
    """Return the temporary files and folders of this program; other libraries have their own."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*caelab-*") if path.exists()]


def one_line(said: str) -> bool:
    """Say whether an error is said without a traceback."""
    return "Traceback" not in said and "Error:" not in said.replace("OSError:", "Error:")


class Attacks:
    """The scenarios, and the attacks on them."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.rng = root, random.Random(seed)
        # Loaded once for all: compiling takes longer than the rest.
        for library in LIBRARIES:
            assert library.loaded is not None or not compiler.find_compiler()
        self.pictures = root / "pictures"
        self.pictures.mkdir()
        rng = np.random.default_rng(0)
        for number in range(40):
            low = rng.integers(0, 200, 3)
            ramp = low + np.mgrid[0:8, 0:8].sum(0)[..., None] * rng.integers(0, 4, 3)
            Image.fromarray(ramp.astype(np.uint8)).save(self.pictures / f"{number:02}.png")
        train = (
            "train", "conv2 pool conv1 | up conv3", "--data", str(self.pictures), "--size", "8",
            "--epochs", "2", "--batch-size", "8", "--out", "run", *PLAIN,
        )  # fmt: skip
        study = root / "two.toml"
        study.write_text(
            f'[study]\nseeds = 1\n[base]\nnetwork = "conv2 pool conv1 | up conv3"\nepochs = 1\n'
            f'batch_size = 8\n[base.data]\nsource = "{self.pictures}"\nsize = 8\n'
            '[networks]\nother = "conv1 pool conv1 | up conv3"\n'
        )
        trained = root / "trained"
        trained.mkdir()
        self.train = Scenario("train", train)
        self.trained = trained / "run"
        ended = self.train.call(trained)
        assert ended.code == 0, ended.said

        def few(folder: Path) -> None:
            (folder / "in").mkdir()
            for name in ("00.png", "01.png", "02.png"):
                shutil.copy(self.pictures / name, folder / "in")

        model = str(self.trained)
        self.scenarios = [
            self.train,
            Scenario("study", ("study", str(study), "--engine", "serial", *PLAIN)),
            Scenario(
                "pictures",
                ("reconstruct", "in", "-o", "out", "--model", model, "--compare", "--force"),
                few,
            ),
        ]
        self.slow = [
            Scenario("compiling", (*train, "--optimizer", "soap"), compiles=True),
            Scenario("export", ("export", model, "model.onnx", "--force")),
            Scenario("report", ("report", model, "--out", "report")),
        ]
        self.expected: dict[str, tuple[dict[str, str], int, float]] = {}

    def whole(self, scenario: Scenario) -> tuple[dict[str, str], int, float]:
        """Return what a command leaves that nobody attacks, the number of its events, its time."""
        if scenario.name not in self.expected:
            with self.folder(scenario) as folder:
                ended = scenario.call(folder)
                assert ended.code == 0, ended.said
                found = digests(folder, caches=scenario.compiles)
                self.expected[scenario.name] = found, ended.events, ended.seconds
        return self.expected[scenario.name]

    @contextlib.contextmanager
    def folder(self, scenario: Scenario) -> Iterator[Path]:
        folder = self.root / "attacked"
        folder.mkdir()
        scenario.made(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    def strike(self, scenario: Scenario, what: str, number: int, happen: Callable[[], None]) -> str:
        """Attack a command, call it once more, and return what is wrong; empty where nothing is."""
        expected, *_ = self.whole(scenario)
        where = f"{scenario.name}, {what} at event {number}"
        with self.folder(scenario) as folder:
            wait = scenario.begin(folder, number, happen)
            other = scenario.call(folder) if what == PAIR else None
            first = wait()
            if other and other.code != 0:
                return f"{where}: the other ended with {other.code}: {other.said[-2000:]}"
            known = {"kill": (-signal.SIGKILL, -signal.SIGALRM, 0), "error": (0, 1, 2)}.get(
                what.split()[0], (130, 0, -signal.SIGHUP, -signal.SIGTERM, -signal.SIGINT)
            )
            if first.code not in known or (what.split()[0] != "kill" and not one_line(first.said)):
                return f"{where}: it ended with {first.code}: {first.said[-2000:]}"
            if what.split()[0] == "error" and (left := leftovers(folder)):
                return f"{where}: it left {left}"
            second = scenario.call(folder)
            if second.code != 0:
                return f"{where}: then it ended with {second.code}: {second.said[-2000:]}"
            if left := leftovers(folder):
                return f"{where}: then it left {left}"
            found = digests(folder, caches=scenario.compiles)
            if found != expected:
                names = sorted(found | expected)
                differ = [name for name in names if found.get(name) != expected.get(name)]
                return f"{where}: other bits of {differ}"
        return ""

    def file_sizes(self, scenario: Scenario, size: int) -> str:
        """Let writes end short, and then fail, in every program, whatever it is written in."""

        def limit() -> None:
            # Python ignores SIGXFSZ from its start, so that writes fail and the process goes on.
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        return self.strike(scenario, f"error of files over {size} bytes", 0, limit)

    @cached_property
    def interrupted(self) -> Path:
        """A run that was stopped when it had saved its state."""
        kept = self.root / "interrupted"
        _, count, _ = self.whole(self.train)
        with self.folder(self.train) as folder:
            # Later and later, until there is a state.
            for number in range(count):
                self.train.call(folder, number, events.send(signal.SIGTERM))
                if (folder / "run" / "checkpoint.pt").is_file():
                    break
            assert not (folder / "run" / "result.json").exists()
            shutil.copytree(folder / "run", kept)
        return kept

    def tamper(self) -> str:
        """Change a file of an interrupted run, and go on with it."""
        name = self.rng.choice(sorted(file.name for file in self.interrupted.iterdir()))
        original = (self.interrupted / name).read_bytes()
        with self.folder(self.train) as folder:
            shutil.copytree(self.interrupted, folder / "run")
            file = folder / "run" / name
            file.unlink()
            how = self.rng.randrange(20)
            if how == 0:
                file.mkdir()
            elif how > 1 and name.endswith(".json"):
                file.write_text(fuzz.json_text(self.rng, [json.loads(original)]))
            elif how > 1:
                file.write_bytes(mutation.change_bytes(self.rng, [original or b"x"]))
            content = file.read_bytes()[:2000] if file.is_file() else how
            ended = self.train.call(folder)
            if ended.code not in (0, 1, 2) or not one_line(ended.said):
                return f"{name}, {content!r}: it ended with {ended.code}: {ended.said[-2000:]}"
        return ""

    def random_strike(self, kind: str, scenario: Scenario) -> str:
        if kind == TAMPERED:
            return self.tamper()
        _, count, seconds = self.whole(scenario)
        number = self.rng.randrange(count)
        match kind:
            case "kills":
                return self.strike(scenario, "kill", number, events.kill)
            case "kills by the clock":
                when = self.rng.uniform(0.001, seconds)
                return self.strike(scenario, "kill by the clock", 0, events.end_after(when))
            case "kills of one of two":
                return self.strike(scenario, PAIR, number, events.kill)
            case "signals":
                chosen = self.rng.choice([signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
                return self.strike(scenario, chosen.name, number, events.send(chosen))
            case "errors":
                codes = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT, errno.EACCES)
                code = self.rng.choice(codes)
                what = f"error {errno.errorcode[code]}"
                return self.strike(scenario, what, number, events.fail(code))
            case _:
                return self.file_sizes(scenario, int(2 ** self.rng.uniform(0, 15)))


KINDS = ("kills", "signals", "errors", "short writes")

PAIR = "kill of one of two"

SLOW_IMPORTS = ("onnxscript", "torch._dynamo", "torch.export", "caelab.report.report", "jinja2")
"""What the slow commands import, so that each does not have to."""

TAMPERED = "tampered runs"

SHORT, LONG = 60, 600
"""Seconds below which few commands are attacked, and above which the slow ones are as well."""


GROUPS = ("strikes", "directories", "texts", "files")


def main(seconds: float, seed: int, groups: Collection[str]) -> None:
    """Attack for so many seconds, and print what was found."""
    results: dict[str, Findings] = {}
    # The commands get half of the time, the readers the other half.
    commands = [group for group in groups if group in GROUPS[:2]]
    inputs = [group for group in groups if group in GROUPS[1:]]
    half = seconds / 2 if commands and inputs else seconds
    with tempfile.TemporaryDirectory(prefix="attack-") as name:
        root = Path(name).resolve()
        events.install(root / "attacked")
        attacks = Attacks(root, seed)
        if commands:
            strikes(attacks, turns(attacks, commands, seconds), half, results)
        trained = attacks.trained
        for reader, count, found in fuzz.attack(trained, root, inputs, half, seed, in_child):
            results[f"reader: {reader}"] = Findings(count, found)
    document = {name: vars(result) for name, result in results.items()}
    json.dump(document, sys.stdout, indent=1)


Turn = tuple[str, Scenario]


def turns(attacks: Attacks, groups: Collection[str], seconds: float) -> list[Turn]:
    """Return the kinds of attacks on each command."""
    scenarios = attacks.scenarios + (attacks.slow if seconds > LONG else [])
    # A failure of the compiler is remembered, and changes how the next run computes.
    chosen = [
        (kind, scenario)
        for scenario in scenarios
        for kind in (KINDS[:2] if scenario.compiles else KINDS)
    ]
    if seconds > LONG:
        for module in SLOW_IMPORTS:
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
        chosen += [("kills by the clock", scenario) for scenario in scenarios]
        chosen += [("kills of one of two", attacks.scenarios[1])]
    if seconds < SHORT:
        # Little time is for a command of each kind, in turn.
        chosen = [chosen[3], *chosen[:: len(KINDS) + 1]]
    if "strikes" not in groups:
        chosen = []
    return [*chosen, (TAMPERED, attacks.train)] if "directories" in groups else chosen


def strikes(
    attacks: Attacks, turns: Sequence[Turn], seconds: float, results: dict[str, Findings]
) -> None:
    """Attack commands, each in each way at least once and then for the same time as the others."""
    end, spent = time.monotonic() + seconds, dict.fromkeys(turns, 0.0)
    while time.monotonic() < end or not all(spent.values()):
        kind, scenario = turn = min(turns, key=lambda each: spent[each])
        started = time.monotonic()
        result = results.setdefault(f"{kind}: {scenario.name}", Findings())
        problem = attacks.random_strike(kind, scenario)
        result.count += 1
        if problem:
            result.found.append(problem)
            print(problem, file=sys.stderr)  # noqa: T201 - a night is long
        spent[turn] += time.monotonic() - started


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] or GROUPS)
