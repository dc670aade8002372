"""Square roots of 0: found in the code, and kept off 0 as the diff keeps them."""

import runpy

import torch

from relume.remedies.cure.case import Case
from relume.remedies.cure.edits.diff import write_patch
from relume.remedies.cure.inside.injector import Injector
from relume.remedies.cure.inside.made import Makings
from relume.remedies.cure.inside.survey import Survey
from relume.remedies.cure.inside.treating import listener_of
from relume.remedies.cure.place import CodePlace
from relume.remedies.cure.proposals.of_heads import root
from relume.remedies.cure.treatment import Kind, Treatment

SCRIPT = """\
import torch

weights = [torch.zeros(3, requires_grad=True), torch.ones(2, requires_grad=True)]
optimizer = torch.optim.Adam(weights, lr=0.5)
for _ in range(3):
    optimizer.zero_grad()
    norms = [torch.sqrt((each**2).sum()) for each in weights]
    error = (weights[1] - 1).pow(2).mean().sqrt() + (weights[0] - 2).pow(2).mean().sqrt()
    loss = 0.1 * norms[0] + 0.2 * norms[1] + error
    loss.backward()
    optimizer.step()
"""


def trained(path, *listeners):
    injector = Injector(listeners)
    injector.install()
    try:
        return torch.cat(runpy.run_path(str(path))["weights"])
    finally:
        injector.remove()


def test_roots_of_zero_are_found_and_treated_as_the_diff_does(tmp_path):
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    survey = Survey(str(tmp_path), Makings())
    assert not trained(path, survey).isfinite().any()
    (treatment,) = root(Case((), survey._said))
    lines = [each["line"] for each in treatment.numbers["places"]]
    assert lines == [7, 8]  # once each, and not the root that is never of 0
    patch = write_patch([treatment], survey._said, tmp_path)
    assert patch.advice == ()
    edited = tmp_path / "edited.py"
    edited.write_bytes(patch.files[path])
    assert "((weights[1] - 1).pow(2).mean() + 1e-12).sqrt()" in edited.read_text()
    wanted = trained(edited)
    assert wanted.isfinite().all()
    assert torch.equal(trained(path, listener_of(treatment, Makings())), wanted)
    assert list(root(Case((), {"roots": []}))) == []


def test_a_root_that_is_no_plain_call_is_advice(tmp_path):
    path = tmp_path / "train.py"
    path.write_text("y = root_of(x)\n")
    place = CodePlace(str(path), 1, 4, 1, 14).to_json()
    treatment = Treatment(kind=Kind.ROOT, label="it", numbers={"places": [place], "added": 1e-12})
    advice = write_patch([treatment], {}, tmp_path).advice[0]
    assert advice == "it: by hand, as train.py:1 takes a root indirectly"
