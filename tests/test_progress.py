"""A bar on a terminal, lines elsewhere."""

import io

import pytest
from rich.console import Console

from pellucid.progress import Heartbeat, ProgressBar


@pytest.mark.parametrize(("terminal", "expected"), [(False, ["first", "last"]), (True, [])])
def test_lines_come_now_and_then_and_never_on_a_terminal(terminal: bool, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("pellucid.progress.time.monotonic", lambda: now[0])
    console = Console(file=io.StringIO(), force_terminal=terminal)
    heartbeat = Heartbeat(console)
    for seconds, line in ((10, "too early"), (35, "first"), (50, "too early"), (64, "too early")):
        now[0] = 100.0 + seconds
        heartbeat.beat(lambda line=line: line)
    heartbeat.print("last")
    assert console.file.getvalue().splitlines() == expected


def test_a_bar_is_shown_from_the_first_call_on(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.StringIO()
    monkeypatch.setattr("pellucid.progress.Console", lambda **_: Console(file=output, force_terminal=True))
    with pytest.raises(ValueError, match="before"), ProgressBar("pictures"):
        raise ValueError("before the first picture")
    assert not output.getvalue()
    with ProgressBar("pictures") as bar:
        bar(1, 2)
    assert "pictures" in output.getvalue()


def test_a_bar_that_is_no_terminals_is_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pellucid.progress.INTERVAL", 0)
    with ProgressBar("pictures") as bar:
        bar(3, 1000)
        bar.print("x.png: cat")
    assert capsys.readouterr().out.splitlines() == ["pictures: 3 of 1,000", "x.png: cat"]
