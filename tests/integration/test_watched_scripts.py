"""Scripts in the styles people write: each runs bare and watched, and does the same.

A script says itself what is to be seen of it, on the line where it happens or below it::

    x = F.relu(self.fc1(x))  # sees relu(fc1) 32
    optimizer.step()  # steps 12

``sees NAME UNITS · NAME UNITS`` names sites, ``@ FILE`` behind them says that they lie in another
file; ``misses WHAT`` names a call that is listed as not observed. Nothing else may be seen.
"""

import math
import re
from pathlib import Path

import pytest

from relume.runs.query import read_run
from tests.integration.warm import WarmPython

SCRIPTS = Path(__file__).parent / "watched_scripts"
INSIDE = [str(SCRIPTS / "watch_script.py")]
BEFORE = ["-m", "relume", "run", "--every", "1", "--no-report", "--quiet", "--out"]
"""Two ways to watch, put before a command, with a folder behind them."""
TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]

PLAIN = [
    "accelerate_loop",
    "accumulation",
    "alexnet_like",
    "autocast bfloat16",
    "autocast float16",
    "char_rnn",
    "checkpointing plain",
    "checkpointing reentrant",
    "functional_digits",
    "gan",
    "huggingface_trainer trainer",
    "lbfgs",
    "lightning_module",
    "loader_workers",
    "parametric_relu",
    "per_sample_gradients",
    "rnn_module",
    "sequential",
    "shared_relu_resnet",
    "siamese",
    "skorch_classifier",
    "smooth_activations",
    "transformer_classifier",
    "vae_at_module_level",
]


@pytest.fixture(scope="module")
def python():
    warm = WarmPython("torch._dynamo")
    yield warm
    warm.close()


def both(python, folder, name, watch=INSIDE, launcher=()):
    """Run a script bare and watched; what can be told apart from outside is the same."""
    script, *arguments = name.split()
    command = [*launcher, str(SCRIPTS / f"{script}.py"), *arguments]
    bare = python.run(folder / "bare", command)
    recording = folder / "recording"
    watched = python.run(folder / "watched", [*watch, str(recording), *command])
    assert "weights " in bare[1]
    assert bare[1].count("\n") > 2, bare
    assert watched[:2] == bare[:2]
    assert said(watched[2]) == said(bare[2])
    return recording


def said(stderr):
    """Return what a script itself wrote, without addresses that differ from run to run."""
    return re.sub(r"\[\w+:\d+\]|0x[0-9a-f]+|\d+:\d+:\d+[.\d]*", "", stderr)


def announced(script, mark):
    """Yield what the comments of a script announce, and where: ``(text, place)``."""
    place = ""
    for number, line in enumerate((SCRIPTS / f"{script}.py").read_text().splitlines(), 1):
        if not line.lstrip().startswith("#"):
            place = f"{script}.py:{number}"
        _, found, text = line.partition(f"# {mark} ")
        for each in text.split(" · ") if found else ():
            what, _, elsewhere = each.partition(" @ ")
            yield what.format(place=place), elsewhere or place


def check_run(recording, script):
    """Check that exactly the announced sites, missed calls and steps are on record."""
    run = read_run(recording)
    places = {place for _, place in announced(script, "sees")}
    seen = [
        (f"{layer.name} {layer.units}", place if place in places else place.partition(":")[0])
        for layer in run.layers
        for place in [layer.place or ""]
    ]
    assert sorted(seen) == sorted(announced(script, "sees"))
    missed = {(each.what, each.place) for each in run.unobserved}
    assert missed == set(announced(script, "misses"))
    for steps, _ in announced(script, "steps"):
        assert run.last_step == int(steps)
    assert run.info.result == {"notes": []}  # no fault of ours
    return run


def activity_of(run, index):
    """Return all that the windows hold of one site."""
    return [w.layers[index].activity for w in run.windows if index < len(w.layers)]


@pytest.mark.parametrize("name", PLAIN)
def test_a_watched_script_does_what_it_does_bare_and_shows_its_sites(python, tmp_path, name):
    script = name.split()[0]
    run = check_run(both(python, tmp_path, name), script)
    assert run.last_step > 0
    for index, layer in enumerate(run.layers):
        activity = activity_of(run, index)
        assert sum(part.rows for part in activity) > 0, layer.name
        assert all(math.isfinite(part.absolute_gradient.sum()) for part in activity), layer.name
        for flow in ("gradient_norm", "update_ratio"):  # not known of a first step by a closure
            steps = sum(getattr(window.layers[index], flow).count for window in run.windows)
            assert run.last_step - 2 <= steps <= run.last_step, (layer.name, flow)
    FURTHER.get(script, lambda _: None)(run)


def check_slopes(run):
    final = [each for index in range(3) for each in [run.windows[-1].layers[index].slope]]
    assert [slope.count for slope in final] == [12, 120, 12]  # slopes times armed steps
    assert all(slope.least < slope.greatest for slope in final)  # they are learned


def check_deaths_of_smooth_units(run):
    """Only a function with a flat piece can make a dead unit, and bounded ones saturate."""
    can_die = {layer.activation for layer in run.layers if layer.can_die}
    assert can_die == {"hardswish"}
    assert {layer.activation for layer in run.layers if layer.saturates} == {"tanh", "sigmoid"}


FURTHER = {
    "parametric_relu": check_slopes,
    "smooth_activations": check_deaths_of_smooth_units,
}


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_training_is_unchanged_and_seen(python, tmp_path, backend):
    check_run(both(python, tmp_path, f"compiled {backend}"), "compiled")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_that_train_one_shared_model_are_recorded_as_one_run(python, tmp_path, method):
    recording = both(python, tmp_path, f"hogwild {method}", BEFORE)
    run = check_run(recording, "hogwild")
    assert sum(part.rows for part in activity_of(run, 0)) == 2 * 6 * 32  # processes, turns, batch


def test_both_ranks_of_a_distributed_training_are_recorded(python, tmp_path):
    recording = both(python, tmp_path, "data_parallel", BEFORE, TORCHRUN)
    names = sorted(path.name for path in recording.glob("*.sqlite"))
    assert names == ["run-rank1.sqlite", "run.sqlite"]
    run = check_run(recording, "data_parallel")
    assert sum(part.rows for part in activity_of(run, 0)) == 2 * 8 * 16  # ranks, steps, batch


def test_sharded_weights_are_listed_and_the_units_seen(python, tmp_path):
    """A model sharded by parameter and one that is flattened; no value of a weight is read."""
    recording = both(python, tmp_path, "sharded", BEFORE, TORCHRUN)
    names = sorted(path.name for path in recording.glob("*.sqlite"))
    assert names == ["run-rank1.sqlite", "run.sqlite"]
    run = read_run(recording)
    assert run.info.result == {"notes": []}
    assert run.last_step in {15, 16}  # the second optimizer leads once the first is gone
    assert not run.weights
    assert [(layer.name, layer.place) for layer in run.layers] == [
        ("act", "sharded.py:24"),
        ("gelu(inner)", "sharded.py:25"),
        ("FullyShardedDataParallel.act", "sharded.py:24"),
        ("gelu in FullyShardedDataParallel", "sharded.py:25"),
    ]
    for index, layer in enumerate(run.layers):
        rows = sum(part.rows for part in activity_of(run, index))
        assert rows == 2 * 8 * 8, layer.name  # ranks, steps, batch
    sharded = {each.place for each in run.unobserved if each.what == "weights sharded by FSDP"}
    assert sharded == {"hidden", "inner", "out", "FullyShardedDataParallel"}
