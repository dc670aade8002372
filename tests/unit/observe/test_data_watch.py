"""Facts of data in recorded trainings: what was called, in which phase, with which numbers."""

import copy
import math
import weakref

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, SubsetRandomSampler, TensorDataset

from relume.observe.model_calls import MOST_EVALUATION_BATCHES
from relume.observe.recorder import Recorder
from relume.runs.facts import InputFacts, NormFacts, OverlapFacts, Phase, RecurrentFacts
from relume.runs.query import read_run
from relume.runs.store import RunWriter

HOOKS = torch.nn.modules.module


@pytest.fixture(autouse=True)
def nothing_compiled():
    """Forget what other tests compiled: in such a process no hook hangs beside armed steps."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()


@pytest.fixture
def record(tmp_path):
    """Return a function that records a training and reads the facts of it."""

    def recorded(train, **settings):
        path = tmp_path / f"run{len(list(tmp_path.iterdir()))}.sqlite"
        recorder = Recorder(lambda: RunWriter(path), **({"period": 1} | settings))
        recorder.start()
        try:
            train()
        finally:
            recorder.stop()
        recorder.output.writer.close()
        assert recorder.fault is None, repr(recorder.fault)
        assert not HOOKS._global_forward_pre_hooks
        assert not HOOKS._global_forward_hooks
        assert not hasattr(nn.Module.eval, "__wrapped__")
        return read_run(path)

    return recorded


class Net(nn.Module):
    def __init__(self, features=5):
        super().__init__()
        self.first = nn.Linear(features, 8)
        self.norm = nn.BatchNorm1d(8)
        self.last = nn.Linear(8, 2)

    def forward(self, x):
        return self.last(torch.relu(self.norm(self.first(x))))


def fit(net, batches, optimizer=None):
    optimizer = optimizer or torch.optim.SGD(net.parameters(), lr=0.01)
    for x in batches:
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()


def inputs(run, phase=Phase.TRAINING):
    return {fact.name: fact for fact in run.of(InputFacts) if fact.phase is phase}


def test_moments_are_those_of_the_batches_that_were_looked_at(record):
    torch.manual_seed(0)
    batches = [torch.randn(int(rows), 5) * 3 + 2 for rows in torch.randint(2, 30, (45,))]
    for batch in batches:
        batch[:, 2] = 7.0
    run = record(lambda: fit(Net(), batches))
    (fact,) = run.of(InputFacts)
    looked = [b for number, b in enumerate(batches, 1) if number <= 10 or number % 10 == 0]
    whole = torch.cat(looked).double().numpy()
    assert (fact.name, fact.model, fact.phase) == ("x of Net.forward", "Net", Phase.TRAINING)
    assert (fact.shape, fact.dtype, fact.is_integer) == (batches[0].shape, "float32", False)
    assert (fact.batches, fact.rows, fact.features) == (len(looked), len(whole), 5)
    np.testing.assert_allclose(fact.feature_means, whole.mean(0), rtol=1e-12)
    np.testing.assert_allclose(fact.feature_deviations, whole.std(0), rtol=1e-9, atol=1e-12)
    assert fact.constant_features == 1
    assert fact.values.mean == pytest.approx(whole.mean())
    assert fact.values.deviation == pytest.approx(whole.std())
    assert (fact.values.least, fact.values.greatest) == (whole.min(), whole.max())
    assert (fact.values.nonfinite, fact.first_nonfinite_step) == (0, None)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_first_step_with_a_number_that_is_none(record, bad):
    batches = [torch.randn(4, 5) for _ in range(9)]
    batches[5][1, 2] = bad
    batches[7][1, 2] = bad
    run = record(lambda: fit(Net(), batches))
    (fact,) = run.of(InputFacts)
    assert (fact.first_nonfinite_step, fact.values.nonfinite) == (6, 2)
    assert all(map(math.isfinite, fact.feature_means))


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(20, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, input_ids=None, batch=None, *, scale=1.0):
        x = self.table(input_ids).mean(1)
        return self.head(x + batch["more"][0]) * scale


def test_named_arguments_dicts_and_integers(record):
    net = Reader()
    tokens, more = torch.randint(3, 17, (6, 9)), torch.randn(6, 4)

    def train():
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(3):
            net(input_ids=tokens, batch={"more": [more], "text": "no tensor"}).sum().backward()
            optimizer.step()

    run = record(train)
    found = inputs(run)
    assert set(found) == {"input_ids of Reader.forward", "batch.more[0] of Reader.forward"}
    fact = found["input_ids of Reader.forward"]
    assert (fact.is_integer, fact.dtype, fact.shape) == (True, "int64", (6, 9))
    assert (fact.values.least, fact.values.greatest) == (tokens.min(), tokens.max())
    assert fact.feature_means == ()


class Sequences(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(3, 4)
        self.head = nn.Linear(4, 1)

    def forward(self, packed, *rest):
        return self.head(self.rnn(packed)[1][-1])


def test_packed_sequences_and_positional_rest(record):
    x = torch.randn(5, 2, 3)
    packed = pack_padded_sequence(x, [5, 3])

    def train():
        net = Sequences()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(3):
            net(packed, torch.ones(2, 1)).sum().backward()
            optimizer.step()

    run = record(train)
    found = inputs(run)
    fact = found["packed.data of Sequences.forward"]
    assert (fact.rows, fact.features, fact.feature_axis) == (6, 3, 1)
    values = torch.cat([x[:, 0], x[:3, 1]]).double().numpy()
    np.testing.assert_allclose(fact.feature_means, values.mean(0))
    assert "rest[0] of Sequences.forward" in found
    (recurrent,) = run.of(RecurrentFacts)
    assert (recurrent.name, recurrent.kind, recurrent.time_steps) == ("rnn", "RNN", 5)


@pytest.mark.parametrize(
    ("first", "shape", "axis"),
    [
        (nn.Conv2d(3, 2, 1), (4, 3, 5, 6), 1),
        (nn.Conv1d(3, 2, 1), (4, 3, 7), 1),
        (nn.Linear(7, 2), (4, 3, 7), 2),
        (nn.Conv3d(3, 2, 1), (4, 3, 2, 2, 2), 1),
    ],
)
def test_features_are_channels_of_images_and_else_the_last_axis(record, first, shape, axis):
    batches = [torch.randn(shape) for _ in range(4)]
    run = record(lambda: fit(nn.Sequential(first, nn.Flatten(), nn.LazyLinear(2)), batches))
    (fact,) = run.of(InputFacts)
    assert (fact.feature_axis, fact.features) == (axis, shape[axis])
    whole = torch.cat(batches).double().movedim(axis, -1).reshape(-1, shape[axis]).numpy()
    np.testing.assert_allclose(fact.feature_means, whole.mean(0), rtol=1e-9)


def test_losses_scores_and_inner_parts_are_no_models(record):
    net, criterion = Net(), nn.MSELoss()

    def train():
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        flatten = nn.Flatten()
        for _ in range(3):
            hidden = net.first(flatten(torch.randn(4, 5)))
            criterion(net.last(functional.relu(net.norm(hidden))), torch.zeros(4, 2)).backward()
            optimizer.step()

    run = record(train)
    assert [fact.name for fact in run.of(InputFacts)] == ["input of Linear.forward"]


def loaders(training, validation):
    return (
        DataLoader(TensorDataset(training), batch_size=20, shuffle=True),
        DataLoader(TensorDataset(validation), batch_size=16),
    )


@pytest.mark.parametrize("how", ["usual", "no eval", "gradients", "no loader"])
@pytest.mark.parametrize("period", [1, 1000])
def test_evaluations_are_told_from_training_and_shared_rows_found(record, how, period):
    """Also where no step near the evaluation is armed."""
    torch.manual_seed(0)
    training, other = torch.randn(200, 5), torch.randn(60, 5)
    validation = torch.cat([training[:15], other])
    seen, counted, net = set(), [], Net()
    learned, scored = loaders(training, validation)

    def train():
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(6):
            net.train()
            for number, (x,) in enumerate(learned):
                if period == 1 or (not counted and number < 8):
                    seen.update(map(tuple, x.tolist()))
                fit(net, [x], optimizer)
            counted.append(1)
            if how != "no eval":
                net.eval()
            with torch.set_grad_enabled(how == "gradients"):
                for x in validation.split(16) if how == "no loader" else (x for (x,) in scored):
                    net(x)

    run = record(train, period=period)
    fact = inputs(run, Phase.EVALUATION)["x of Net.forward"]
    assert fact.rows == 6 * 75
    assert fact.feature_means == pytest.approx(validation.double().mean(0).tolist())
    (overlap,) = run.of(OverlapFacts)
    assert overlap.training_rows == len(seen)
    assert overlap.evaluation_rows == 75
    assert overlap.shared_rows == len(seen & set(map(tuple, validation.tolist())))
    assert overlap.shared_rows >= 8
    assert overlap.training_repeats == 0.0


def test_scoring_on_the_training_data_is_told_apart(record):
    torch.manual_seed(0)
    training, validation = torch.randn(200, 5), torch.randn(60, 5)
    learned, scored = loaders(training, validation)
    net = Net()

    def train():
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(3):
            net.train()
            fit(net, [x for (x,) in learned], optimizer)
            net.eval()
            with torch.no_grad():
                for loader in (DataLoader(learned.dataset, 50), scored):
                    for (x,) in loader:
                        net(x)
                net(training)

    (overlap,) = record(train).of(OverlapFacts)
    assert (overlap.evaluation_rows, overlap.shared_rows) == (60, 0)


def test_slices_of_one_tensor_and_samplers_of_one_data_set_are_told_apart(record):
    torch.manual_seed(0)
    data = torch.randn(100, 5)
    net, rows = Net(), TensorDataset(data)
    learned = DataLoader(rows, 20, sampler=SubsetRandomSampler(range(60)))
    scored = DataLoader(rows, 20, sampler=SubsetRandomSampler(range(50, 80)))

    def train():
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(3):
            net.train()
            fit(net, data[:60].split(20), optimizer)
            fit(net, [x for (x,) in learned], optimizer)
            net.eval()
            with torch.no_grad():
                net(data[80:])
                net(data[:60])
                for (x,) in scored:
                    net(x)

    run = record(train)
    (overlap,) = run.of(OverlapFacts)
    assert (overlap.evaluation_rows, overlap.shared_rows) == (50, 10)
    assert inputs(run, Phase.EVALUATION)["x of Net.forward"].rows == 3 * 50


def test_predictions_without_end_are_not_looked_at_without_end(record):
    net = Net()

    def train():
        fit(net, [torch.randn(4, 5) for _ in range(10)])
        for has_gradients in (False, True):
            with torch.set_grad_enabled(has_gradients):
                for _ in range(300):
                    net.eval()
                    net(torch.randn(4, 5))
                for _ in range(10):
                    for x in DataLoader(torch.randn(100, 5), 2):
                        net(x)

    run = record(train)
    assert inputs(run, Phase.EVALUATION)["x of Net.forward"].batches <= 120


def test_a_training_in_eval_mode_is_a_training(record):
    """``eval()`` was left on: what it learns from is not taken for validation rows."""
    torch.manual_seed(0)
    training, validation = torch.randn(100, 5), torch.randn(40, 5)
    net = Net()

    def train():
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(3):
            fit(net, training.split(20), optimizer)
            net.eval()
            with torch.no_grad():
                net(validation)

    run = record(train)
    (overlap,) = run.of(OverlapFacts)
    assert (overlap.evaluation_rows, overlap.shared_rows) == (40, 0)
    assert overlap.training_rows == 100
    assert inputs(run, Phase.EVALUATION)["x of Net.forward"].rows == 3 * 40
    (norm,) = run.of(NormFacts)
    assert (norm.name, norm.passes) == ("norm", 5)
    assert norm.eval_passes >= 10


def test_a_teacher_is_not_evaluated(record):
    net = Net()
    teacher = copy.deepcopy(net)

    def train():
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(5):
            x = torch.randn(8, 5)
            fit(net, [x], optimizer)
            with torch.no_grad():
                teacher.eval()(x)

    run = record(train)
    assert not inputs(run, Phase.EVALUATION)
    (overlap,) = run.of(OverlapFacts)
    assert overlap.evaluation_rows == 0


def test_an_evaluation_is_looked_at_for_its_first_batches_and_hooks_go(record):
    net, hooks = Net(), []

    def train():
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        fit(net, [torch.randn(4, 5) for _ in range(12)], optimizer)
        net.eval()
        with torch.no_grad():
            for _ in range(2 * MOST_EVALUATION_BATCHES):
                net(torch.randn(4, 5))
                hooks.append(len(HOOKS._global_forward_pre_hooks))
        net.train()
        iter(DataLoader(torch.randn(4, 5)))
        hooks.append(len(HOOKS._global_forward_pre_hooks))
        net.train()
        fit(net, [torch.randn(4, 5)], optimizer)
        hooks.append(len(HOOKS._global_forward_pre_hooks))

    run = record(train, period=1000)
    assert inputs(run, Phase.EVALUATION)["x of Net.forward"].batches == MOST_EVALUATION_BATCHES
    assert hooks[:20] == [1] * 20
    assert hooks[20:] == [0] * 20 + [1, 0]


def test_eval_in_every_step_stops_to_be_believed(record):
    net, hooks = Net(), []

    def train():
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(300):
            net.norm.eval()
            hooks.append(len(HOOKS._global_forward_pre_hooks))
            fit(net, [torch.randn(4, 5)], optimizer)

    record(train, period=1000)
    assert sum(hooks[-60:]) == 0


def test_compiled_code_meets_no_hook_of_an_evaluation(record):
    net = Net()
    compiled = torch.compile(net, backend="eager")
    graphs, hooks = [], []
    counters = torch._dynamo.utils.counters["stats"]

    def train():
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(3):
            compiled.train()
            fit(compiled, [torch.randn(4, 5) for _ in range(10)], optimizer)
            compiled.eval()
            net.eval()
            hooks.append(len(HOOKS._global_forward_pre_hooks))
            with torch.no_grad():
                compiled(torch.randn(4, 5))
            graphs.append(counters["unique_graphs"])

    record(train, period=1000)
    assert hooks == [0, 0, 0]
    assert graphs[0] == graphs[1] == graphs[2] > 0


def test_the_second_run_of_a_checkpoint_is_no_call_of_a_model(record):
    inner, head = nn.Sequential(nn.Linear(5, 6), nn.ReLU()), nn.Linear(6, 2)

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.head = inner, head

        def forward(self, x):
            return self.head(checkpoint(self.inner, x, use_reentrant=False))

    run = record(lambda: fit(Outer(), [torch.randn(4, 5) for _ in range(4)]))
    assert [(fact.name, fact.batches) for fact in run.of(InputFacts)] == [("x of Outer.forward", 4)]


def test_nothing_of_the_users_is_kept(record):
    net, kept = Net(), []

    def train():
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(5):
            x = torch.randn(4, 5)
            kept.append(weakref.ref(x))
            fit(net, [x], optimizer)
            del x
            assert kept[-1]() is None

    record(train)


def test_weights_and_random_numbers_are_bitwise_the_same(record):
    def trained():
        torch.manual_seed(3)
        net = nn.Sequential(Net(), nn.Dropout(0.5))
        learned, scored = loaders(torch.randn(100, 5), torch.randn(40, 5))
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        for _ in range(3):
            net.train()
            fit(net, [x for (x,) in learned], optimizer)
            net.eval()
            with torch.no_grad():
                for (x,) in scored:
                    net(x)
        return [*net.state_dict().values(), torch.get_rng_state()]

    bare, watched = trained(), []
    record(lambda: watched.extend(trained()))
    assert all(map(torch.equal, bare, watched))


def test_a_fault_of_ours_reaches_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr("relume.observe.inputs.as_columns", lambda *_: 1 / 0)
    recorder = Recorder(lambda: RunWriter(tmp_path / "run.sqlite"), period=1)
    recorder.start()
    net = Net()
    fit(net, [torch.randn(4, 5)] * 2)
    recorder.stop()
    assert isinstance(recorder.fault, ZeroDivisionError)
    assert not HOOKS._global_forward_pre_hooks


def test_a_fault_in_an_evaluation_reaches_nobody(tmp_path, monkeypatch):
    recorder = Recorder(lambda: RunWriter(tmp_path / "run.sqlite"), period=1000)
    recorder.start()
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    fit(net, [torch.randn(4, 5)] * 10, optimizer)
    monkeypatch.setattr("relume.observe.inputs.as_columns", lambda *_: 1 / 0)
    net.eval()
    net(torch.randn(4, 5))
    net.train()
    fit(net, [torch.randn(4, 5)] * 2, optimizer)
    recorder.stop()
    assert isinstance(recorder.fault, ZeroDivisionError)
    assert not HOOKS._global_forward_pre_hooks
