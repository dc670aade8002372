"""Losses by hand that compare all with all: found in the code, and treated as the diff does."""

import runpy

import pytest
import torch

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Severity
from relume.remedies.cure.candidates import candidates
from relume.remedies.cure.case import Case
from relume.remedies.cure.edits.diff import write_patch
from relume.remedies.cure.inside.injector import Injector
from relume.remedies.cure.inside.made import Makings
from relume.remedies.cure.inside.survey import Survey
from relume.remedies.cure.inside.treating import listener_of
from relume.remedies.cure.place import CodePlace
from relume.remedies.cure.treatment import Kind, Treatment

SCRIPT = """\
import torch

torch.manual_seed(0)
x = torch.randn(8, 2)
y = x[:, 0] - 2 * x[:, 1]
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    loss = ({loss}).mean() + (model.weight - torch.ones(2)).abs().sum()
    loss.backward()
    optimizer.step()
"""
WRITTEN = {
    "(model(x) - y)**2": "(model(x).squeeze(1) - y)**2",
    "abs(y - (1 * model(x)))": "abs(y - ((1 * model(x)).squeeze(1)))",
}


def trained(path, *listeners):
    injector = Injector(listeners)
    injector.install()
    try:
        return runpy.run_path(str(path))["model"].weight.detach()
    finally:
        injector.remove()


@pytest.mark.parametrize("loss", WRITTEN)
def test_a_broadcast_subtraction_is_found_and_treated_as_the_diff_does(tmp_path, loss):
    path = tmp_path / "train.py"
    path.write_text(SCRIPT.format(loss=loss))
    own = torch.Tensor.__sub__
    survey = Survey(str(tmp_path), Makings())
    broken = trained(path, survey)
    found = Finding(code=Code.BROADCAST_LOSS, severity=Severity.ERROR, message="it")
    treatment = candidates(Case((found,), survey._said), allows_model=False)[0]
    assert treatment.kind is Kind.DIFFERENCE
    assert treatment.changes_loss
    (said,) = treatment.numbers["differences"]  # of the two subtractions, the one of all with all
    assert said["place"]["line"] == 10
    assert sorted([said["left"], said["right"]]) == [[8], [8, 1]]
    patch = write_patch([treatment], survey._said, tmp_path)
    assert patch.advice == ()
    edited = tmp_path / "edited.py"
    edited.write_bytes(patch.files[path])
    assert WRITTEN[loss] in edited.read_text()
    wanted = trained(edited)
    assert not torch.equal(wanted, broken)
    assert torch.equal(trained(path, listener_of(treatment, Makings())), wanted)
    assert torch.Tensor.__sub__ is own


def test_a_subtraction_that_is_not_written_as_one_is_advice(tmp_path):
    path = tmp_path / "train.py"
    path.write_text("y = sub(a, b)\n")
    place = CodePlace(str(path), 1, 4, 1, 13).to_json()
    differences = [{"place": place, "left": [8, 1], "right": [8]}]
    treatment = Treatment(kind=Kind.DIFFERENCE, label="it", numbers={"differences": differences})
    advice = write_patch([treatment], {}, tmp_path).advice[0]
    assert advice == "it: by hand, as train.py:1 is no plain subtraction"
