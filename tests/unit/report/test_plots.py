"""The report as a picture: what is in it, read back by another library."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from relume.cli import run as relume
from relume.diagnosis.engine import diagnose
from relume.report.document import build_document
from relume.report.heatmap import SILENT_COLOUR
from relume.report.plots import _cells, _marks, write_report_png
from relume.runs.query import read_run
from relume.runs.records import Layer, RunInfo
from relume.runs.store import RunWriter


def draw(run, path):
    diagnosis = diagnose(run)
    write_report_png(run, build_document(run, diagnosis), diagnosis, path)
    with Image.open(path) as picture:
        picture.load()
        return picture, np.asarray(picture.convert("RGB"))


def silent_pixels(pixels):
    return int((pixels == SILENT_COLOUR).all(axis=2).sum())


def test_silent_units_are_seen_at_once(tmp_path, watch_factory):
    sick = read_run(watch_factory.write_watch_run(tmp_path / "sick.sqlite", windows=40))
    healthy = read_run(watch_factory.write_healthy_run(tmp_path / "healthy.sqlite"))
    picture, pixels = draw(sick, tmp_path / "sick.png")
    assert picture.width == 1200
    assert picture.format == "PNG"
    assert picture.info["Software"] == "Relume"
    only_legend = silent_pixels(draw(healthy, tmp_path / "healthy.png")[1])
    assert 0 < only_legend < 2000
    # 39 of 128 units are silent most of the time on 1,100 by 110 pixels.
    assert silent_pixels(pixels) > only_legend + 0.2 * 1100 * 110 * 39 / 128


def test_a_cell_is_a_unit_at_a_time(digits_run):
    cells = _cells(digits_run, 1)
    rates = np.stack([window.layers[1].activity.fired for window in digits_run.windows]).T
    silent_at_end = int((rates[:, -1] == 0).sum())
    is_silent = (cells == SILENT_COLOUR).all(axis=2)
    assert is_silent[:, -1].sum() == -(-silent_at_end // 2)  # 128 units, two a row
    assert not is_silent[silent_at_end:, -1].any()
    assert cells.shape[1] == min(1000, digits_run.last_step)


def test_findings_are_marked_where_they_began(digits_run):
    findings = diagnose(digits_run).findings
    base = findings[0]
    grave = replace(base, severity="error", code="RLM900", first_step=40, consequences=())
    follows = replace(grave, severity="warning", code="RLM901", first_step=0)
    note = replace(base, severity="note", code="RLM902", first_step=7, consequences=())
    marked = _marks([grave.with_consequences(follows, replace(follows, first_step=40)), note])
    assert marked == {40: ["RLM900", "RLM901"], 1: ["RLM901"]}


@pytest.mark.parametrize("name", ["$\\frac{", "層\U0001f642", "a\x1b[31m\n"])
def test_any_name_can_be_drawn(name, tmp_path, watch_factory):
    layers = (Layer(name, "relu", 300, True, "x", f"{name}.py:1"),)
    info = replace(watch_factory.INFO, data={"name": name})
    path = watch_factory.write_watch_run(
        tmp_path / "run.sqlite", layers=layers, deaths={}, info=info, windows=3
    )
    draw(read_run(path), tmp_path / "report.png")


def test_a_run_without_a_step_is_drawn(tmp_path):
    writer = RunWriter(tmp_path / "run.sqlite")
    writer.update_info(RunInfo(kind="watch"))
    writer.close()
    assert draw(read_run(tmp_path), tmp_path / "report.png")[0].width == 1200


def test_the_command_draws_by_the_run_or_where_it_is_told(digits_file, tmp_path, capsys):
    shutil.copy(digits_file, tmp_path / "run.sqlite")
    assert relume(["report", str(tmp_path), "--png"]) == 0
    assert capsys.readouterr().out.endswith(f"Picture: {tmp_path / 'report.png'}\n")
    assert relume(["report", str(tmp_path), "--png", str(tmp_path / "other.PNG")]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"run.sqlite", "report.png", "other.PNG"}  # a page only if it is asked for


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x.png"], "pictures are drawn with --png"),
        (["--png", "x.jpg"], "--png writes a PNG; got 'x.jpg': give a name that ends in .png"),
        (["--png", "absent/x.png"], "cannot write absent/x.png: no such file or directory"),
    ],
)
def test_a_mistake_is_one_line(digits_file, tmp_path, arguments, said, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert relume(["report", str(digits_file), *arguments]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
