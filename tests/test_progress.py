"""Progress off a terminal: few lines, each once."""

import io

import pytest

from lib.progress import Progress


def lines(capsys) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_twenty_lines_however_often_it_moves(capsys):
    with Progress(total=2_000, desc="work", unit="step", lines=20, mininterval=0) as bar:
        for i in range(2_000):
            bar.set_postfix_str(f"loss {i}", refresh=False)
            bar.update(1)
    shown = lines(capsys)
    assert [line.split(",")[0] for line in shown] == [f"work: {percent}%" for percent in range(5, 101, 5)]
    assert shown[-1].endswith("loss 1999")
    assert "2000 of 2000" in shown[-1]


def test_what_was_done_before_is_not_told_again(capsys):
    with Progress(total=1_000, initial=500, desc="work", lines=4, mininterval=0) as bar:
        bar.update(100)
        bar.update(400)
    assert [line.split(",")[0] for line in lines(capsys)] == ["work: 100%"]


def test_one_line_at_the_end_and_none_after_an_error(capsys):
    for _ in Progress(range(7), desc="parts"):
        pass
    assert [line.split(",")[0] for line in lines(capsys)] == ["parts: 100%"]
    with pytest.raises(ZeroDivisionError), Progress(total=5, desc="parts") as bar:
        bar.update(3)
        1 / 0  # noqa: B018
    assert lines(capsys) == []


def test_nothing_when_disabled_or_with_nothing_to_do(capsys):
    with Progress(total=5, disable=True) as bar:
        bar.update(5)
    with Progress(total=0, lines=3):
        pass
    assert lines(capsys) == []


def test_a_terminal_gets_the_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with Progress(total=4, desc="work", file=terminal, mininterval=0) as bar:
        bar.update(4)
    assert terminal.getvalue().count("\r") > 1
    assert "4/4" in terminal.getvalue()
