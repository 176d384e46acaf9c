import io
import logging
import sys

import pytest

from caelab.commands.messages import NoteHandler
from caelab.progress import hidden, live, progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_it_is_silent_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("working", 3) as bar:
        bar()
        bar.say("a line")
    assert capsys.readouterr() == ("", "")


def test_a_hidden_bar_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with hidden(), progress("working", 3) as bar:
        bar()
        bar.say("a line")
    assert terminal.getvalue() == ""
    with progress("working", 3):
        pass
    assert "working" in terminal.getvalue()


def test_a_note_appears_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    logger, handler = logging.getLogger("caelab"), NoteHandler()
    logger.addHandler(handler)
    try:
        with progress("working", 3) as bar:
            logging.getLogger("caelab.somewhere").warning("it is %s", "cold")
            logging.getLogger("caelab.somewhere").warning("it is %s", "cold")
            bar()
    finally:
        logger.removeHandler(handler)
    assert terminal.getvalue().count("note: it is cold\n") == 1


def test_a_live_text_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with live(lambda: "unseen") as shown:
        assert not shown
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with live(lambda: "[pool conv8 up]\n2 done") as shown:
        assert shown
    assert "[pool conv8 up]" in terminal.getvalue()
    assert "2 done" in terminal.getvalue()


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
