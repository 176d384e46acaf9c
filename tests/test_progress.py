import io
import sys

import pytest

from caelab.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_it_is_silent_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("working", 3) as bar:
        bar()
        bar.say("a line")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("unit", ["steps", "bytes"])
def test_a_terminal_sees_the_label_and_what_is_said(
    monkeypatch: pytest.MonkeyPatch, unit: str
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("working", 10, done=4, unit=unit) as bar:
        bar(6)
        bar.say("epoch 1")
    assert "working" in terminal.getvalue()
    assert "epoch 1" in terminal.getvalue()
