import io
from dataclasses import replace

import pytest
from rich.console import Console

from relume.errors import RunFileError
from relume.report.live.reading import GrowingRun
from relume.report.live.terminal import follow, plain_lines, readings, sparkline, view
from relume.runs.store import RunWriter


def shown(renderable, width=100):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    return console.file.getvalue()


def test_an_ended_run_is_shown_once(digits_file):
    output = io.StringIO()
    follow(digits_file.parent, Console(file=output, width=100))
    lines = output.getvalue().splitlines()
    assert lines[0].startswith("finished · step 300 · loss 0.")
    assert "dead or silent 3 of 384" in lines[0]
    assert [line for line in lines if line.startswith("finished")] == lines[:1]


def test_the_picture_has_loss_findings_and_layers(digits_document):
    text = shown(view(digits_document, 100, 60))
    assert "digits: " in text
    assert "█" in text
    for layer in digits_document.layers:
        assert layer.summary.name in text
    for finding in digits_document.findings[:2]:
        assert finding.code in text


def test_a_low_window_says_what_is_left_out(digits_document):
    document = replace(digits_document, findings=digits_document.findings * 9)
    low, high = (shown(view(document, 80, height), width=80) for height in (12, 90))
    assert "more lines of findings" in low
    assert "more lines" not in high
    assert len(low.splitlines()) < len(high.splitlines())


def test_a_growing_run_is_told_until_it_ends(factory, tmp_path):
    training = factory.Training(windows=6)
    writer = RunWriter(tmp_path / "run.sqlite")
    writer.update_info(factory.replace(factory.INFO, status="running", result={}))
    writer.set_layers(training.layers)
    windows = iter(training.windows())

    def train(_):
        window = next(windows, None)
        if window is None:
            writer.update_info(status="finished")
        else:
            writer.write_window(window, [])

    lines = list(plain_lines(readings(GrowingRun(tmp_path, "mine"), sleep=train)))
    writer.close()
    states = [line for line in lines if " · step " in line]
    assert states[-1].startswith("finished · step 30 ")
    assert all(line.startswith("running") for line in states[:-1])


def test_what_cannot_be_read_is_said(tmp_path):
    (tmp_path / "run.sqlite").write_bytes(b"no database")
    with pytest.raises(RunFileError, match=r"run\.sqlite"):
        follow(tmp_path, Console(file=io.StringIO()))


@pytest.mark.parametrize(
    ("values", "most", "bars"),
    [([1.0], 5, "▁"), ([2.0, 2.0], 5, "▁▁"), ([0, 7, 7, 0], 4, "▁██▁"), ([0, 0, 4, 4], 2, "▁█")],
)
def test_bars_follow_the_values(values, most, bars):
    assert sparkline(values, most) == bars
