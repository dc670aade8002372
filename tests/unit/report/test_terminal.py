import io

from rich.console import Console

from relume.report.document import build_document
from relume.report.terminal import layer_table, print_document
from relume.runs.summary import LayerSummary


def printed(renderable, width=100):
    out = io.StringIO()
    Console(file=out, width=width).print(renderable)
    return out.getvalue()


def summary(**changes):
    given = {
        "name": "hidden.0", "activation": "relu", "units": 128, "rows": 1149,
        "at_final_weights": True, "firing_rate": 0.31, "dead_units": (3, 9), "dying_units": (),
        "held_out_rows": 288,
    }  # fmt: skip
    return LayerSummary(**given | changes)


def test_a_line_a_layer():
    lines = printed(layer_table([summary()])).splitlines()
    assert " ".join(lines[0].split()) == "layer activation units firing rate dead dying rows n 3/m"
    assert " ".join(lines[1].split()) == "hidden.0 relu 128 31 % 2 0 1,149 1.1 %"
    assert "m = 288 of them were held out" in lines[2]


def test_what_cannot_be_told_is_said():
    while_training = summary(at_final_weights=False, dying_units=None, held_out_rows=0)
    assert printed(layer_table([while_training])).split()[-3:] == ["too", "early", "1,149"]
    undying = summary(dead_units=None, dying_units=None, activation="tanh")
    assert "cannot die" in printed(layer_table([undying]))
    unseen = summary(
        rows=0, dead_units=None, dying_units=None, firing_rate=float("nan"), held_out_rows=0
    )
    assert printed(layer_table([unseen])).count("not observed") == 3


def test_names_are_neither_markup_nor_escape_codes():
    text = printed(layer_table([summary(name="[red]\x1b[2Jx[/red]")]))
    assert "[red]�[2Jx[/red]" in text


def test_a_document_for_a_person(digits_document):
    out = io.StringIO()
    print_document(digits_document, Console(file=out, width=100))
    text = " ".join(out.getvalue().split())
    assert text.startswith(f"digits: {digits_document.headline}")
    for said in (*digits_document.comparisons, *digits_document.measurement):
        assert said in text
    assert "finished, 300 steps; best epoch 11; stopped after epoch 15" in text


def test_a_killed_run_for_a_person(killed_run):
    out = io.StringIO()
    document = build_document(killed_run)
    print_document(document, Console(file=out, width=100))
    text = " ".join(out.getvalue().split())
    assert "Missing" in text
    assert all(said in text for said in document.missing)
