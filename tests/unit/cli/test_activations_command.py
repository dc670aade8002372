"""``relume activations``: table, facts with a plot, JSON, PNG, errors."""

import json
import math
import re
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from relume.cli.activations import _plot
from relume.cli.activations import activations as command
from relume.errors import OutputError, SettingsError, UnknownNameError
from relume.nn.curve import sample_curve
from relume.nn.registry import activation_names, activations, get_activation

app = typer.Typer()
app.command()(command)


def invoke(*arguments, **environment):
    return CliRunner().invoke(
        app, list(arguments), env={"NO_COLOR": "1", "COLUMNS": None, **environment}
    )


def lines_of(*arguments, **environment):
    result = invoke(*arguments, **environment)
    assert result.exception is None
    return result.stdout.splitlines()


def test_the_list_has_one_line_for_every_activation():
    lines = lines_of()
    rows = {line.split()[0]: line for line in lines if line.split()}
    assert set(activation_names()) <= set(rows)
    assert re.match(r" relu +max\(0, x\) +0 to inf +1.4142 +yes +left +- +2010$", rows["relu"])
    assert re.search(r" exp\(x_i\) / sum_j exp\(x_j\) +0 to 1 +- +- +both", rows["softmax"])
    assert "[max(0, x), max(0, -x)]" in rows["concatenated_relu"]
    for entry in activations():
        assert entry.facts.plain in rows[entry.name]


def test_the_list_is_plain_text_when_it_goes_to_a_file():
    text = "\n".join(lines_of())
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("columns", [80, 116, 200])
def test_the_list_fits_the_width(columns):
    lines = lines_of(COLUMNS=str(columns))
    assert max(map(len, lines)) <= columns
    assert any("year" in line for line in lines) is (columns >= 116)
    assert all(any(name in line for line in lines) for name in activation_names())


def test_one_activation_shows_its_facts():
    text = "\n".join(lines_of("ELU"))
    for expected in (
        "elu   x if x > 0 else exp(x) - 1",
        r"f(x) = \max(0, x) + \min(0, e^x - 1)",
        "alpha=1.0",
        "-1 to inf",
        "0 far left, 1 far right",
        "1.245198301",
        "monotone, smooth, not homogeneous",
        "Clevert",
        "value",
        "derivative",
    ):
        assert expected in text


def test_it_says_what_can_die_and_where():
    assert "at or below -3" in "\n".join(lines_of("hardswish"))
    assert re.search(r"can die +no$", "\n".join(lines_of("tanh")), re.MULTILINE)


def test_who_was_first_is_said():
    text = "\n".join(lines_of("relu"))
    assert "Nair" in text
    assert text.count("Fukushima") == 2


@pytest.mark.parametrize("name", activation_names())
def test_the_plot_shows_the_curve_and_names_its_line(name):
    lines = lines_of(name)
    top = next(i for i, line in enumerate(lines) if "┌" in line)
    bottom = next(i for i, line in enumerate(lines) if "└" in line)
    body = [re.fullmatch(r".*?[│┤](.*)│", line)[1] for line in lines[top + 1 : bottom]]
    drawn = "".join(body)
    assert re.search(r"[▖-▟▀-▐]", drawn)
    assert "·" in drawn
    assert max(map(len, lines[top : bottom + 2])) <= 80
    is_line_of_one = get_activation(name).kind == "elementwise"
    assert ("(" not in lines[bottom + 2]) is is_line_of_one


def test_the_plot_of_relu_is_flat_and_then_rises():
    lines = lines_of("relu")
    start = next(i for i, line in enumerate(lines) if "┌" in line)
    plot = lines[start + 1 : start + 18]
    blocks = [[m.start() for m in re.finditer(r"[▖-▟▀-▐]", line)] for line in plot]
    assert len(blocks[-1]) > 30  # the zero line
    assert len(blocks[0]) <= 3  # the tip at the top right
    assert blocks[0][0] > 60


def test_a_narrow_terminal_gets_a_narrow_plot():
    assert max(map(len, lines_of("tanh", COLUMNS="50"))) <= 50


def test_value_and_derivative_have_their_colours_and_no_color_has_none():
    plot = _plot(sample_curve(get_activation("tanh"), points=1201), 80)
    styles = {
        style: {plot.plain[s.start : s.end][0] for s in plot.spans if s.style == style}
        for style in ("cyan", "magenta")
    }
    assert styles["magenta"] == {"·"}
    assert "▄" in styles["cyan"]
    assert "·" not in styles["cyan"]
    assert "\x1b" not in invoke("tanh").stdout


def strict(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_the_json_of_all_is_strict_and_complete():
    records = strict(invoke("--json").stdout)
    assert [record["name"] for record in records] == list(activation_names())
    by_name = {record["name"]: record for record in records}
    assert by_name["softmax"]["gain"] is None
    assert by_name["relu"]["range"] == [0.0, "inf"]
    assert by_name["identity"]["range"] == ["-inf", "inf"]
    assert by_name["relu"]["can_die"] is True
    assert by_name["relu"]["earlier"][0]["year"] == 1969
    assert by_name["glu"]["inputs_per_output"] == 2
    for entry in activations():
        assert by_name[entry.name]["gain"] == (
            None if math.isnan(entry.facts.gain) else entry.facts.gain
        )


def test_the_json_of_one_is_its_record_in_the_list():
    (record,) = [each for each in strict(invoke("--json").stdout) if each["name"] == "silu"]
    assert strict(invoke("swish", "--json").stdout) == record
    assert record["parameters"] == {"beta": 1.0, "learnable": False}


def test_a_png_is_written_and_named(tmp_path):
    path = tmp_path / "gelu.png"
    lines = lines_of("gelu", "--png", str(path))
    assert path.read_bytes().startswith(b"\x89PNG")
    assert lines[-1] == f"Wrote {path}"


def test_a_png_can_be_written_beside_json(tmp_path):
    path = tmp_path / "[b]elu.png"
    record = strict(invoke("elu", "--json", "--png", str(path)).stdout)
    assert record["name"] == "elu"
    assert path.exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["rellu"], UnknownNameError, "unknown activation 'rellu'; did you mean relu"),
        (["crelu"], UnknownNameError, "concatenated_relu .* or complex_relu"),
        (["--png", "x.png"], SettingsError, "--png draws one activation"),
        (["relu", "--png", "x.svg"], OutputError, "ends in .png"),
        (
            ["relu", "--png", "/none/x.png"],
            OutputError,
            "cannot write .*; .*another place with --png",
        ),
    ],
)
def test_mistakes_give_one_line_and_exit_code_two(arguments, error, message):
    result = invoke(*arguments)
    assert isinstance(result.exception, error)
    assert re.search(message, str(result.exception))
    assert "\n" not in str(result.exception)
    assert result.exception.exit_code == 2
    assert result.stdout == ""


def test_an_encoding_without_blocks_gets_the_facts_and_no_plot():
    code = "from relume.cli.activations import activations; activations('relu')"
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii", "COLUMNS": "80"},
        check=True,
    )
    text = run.stdout.decode("ascii")
    assert "max(0, x)" in text
    assert "No plot: this terminal's encoding is ascii, not UTF-8." in text


def test_the_list_loads_no_plotting_library():
    code = (
        "import sys; from relume.cli.activations import activations; activations(json=True); "
        "print(sorted({'plotext', 'matplotlib', 'pandas', 'polars'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert run.stdout.decode().splitlines()[-1] == "[]"
