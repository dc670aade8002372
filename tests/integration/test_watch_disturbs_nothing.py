"""Weights and random numbers are bitwise those of the bare training; nothing of ours remains."""

import json
import os
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules import module as module_hooks
from torch.optim import optimizer as optimizer_hooks

import relume


def mlp():
    net = nn.Sequential(
        nn.Linear(10, 24), nn.ReLU(inplace=True), nn.Dropout(0.3), nn.Linear(24, 12), nn.GELU(),
        nn.Linear(12, 3),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    for _ in range(60):
        x = torch.randn(16, 10)
        loss = functional.cross_entropy(net(x), (x[:, 0] > 0).long())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    return net


def cnn():
    net = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU6(), nn.Dropout2d(0.2), nn.Flatten(),
        nn.Linear(216, 8), nn.PReLU(8), nn.Linear(8, 2),
    )  # fmt: skip
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    data = torch.utils.data.TensorDataset(torch.randn(40, 1, 8, 8), torch.arange(40) % 2)
    for _ in range(4):
        for x, y in torch.utils.data.DataLoader(data, batch_size=8, shuffle=True):
            optimizer.zero_grad()
            functional.cross_entropy(net(x), y).backward()
            optimizer.step()
    return net


def transformer():
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)
    net = nn.Sequential(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)
    for step in range(20):
        optimizer.zero_grad()
        net(torch.randn(4, 6, 16)).square().mean().backward()
        optimizer.step()
        schedule.step()
        if step % 5 == 4:
            net.eval()
            with torch.no_grad():
                net(torch.randn(4, 6, 16))
            net.train()
    return net


def gan():
    judge = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Dropout(0.2), nn.Linear(16, 1))
    maker = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    first = torch.optim.Adam(judge.parameters(), lr=0.01)
    second = torch.optim.Adam(maker.parameters(), lr=0.01)
    for _ in range(30):
        real = torch.randn(8, 2).requires_grad_()
        first.zero_grad()
        score = judge(real).sum()
        (slope,) = torch.autograd.grad(score, real, create_graph=True)
        loss = judge(maker(torch.randn(8, 4)).detach()).mean() - judge(real).mean()
        (loss + slope.square().sum(1).mean()).backward()
        first.step()
        second.zero_grad()
        (-judge(maker(torch.randn(8, 4))).mean()).backward()
        second.step()
    return nn.ModuleList([judge, maker])


def lbfgs():
    net = nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.Dropout(0.1), nn.Linear(9, 1))
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=5, line_search_fn="strong_wolfe")
    for _ in range(6):
        x = torch.randn(32, 5)

        def closure(x=x):
            optimizer.zero_grad()
            loss = (net(x)[:, 0] - x.sum(1)).square().mean()
            loss.backward()
            return loss

        optimizer.step(closure)
    return net


def by_hand():
    net = nn.Sequential(nn.Linear(5, 9), nn.ReLU(), nn.Linear(9, 1))
    for _ in range(25):
        loss = net(torch.randn(16, 5)).square().mean()
        gradients = torch.autograd.grad(loss, net.parameters())
        with torch.no_grad():
            for parameter, gradient in zip(net.parameters(), gradients, strict=True):
                parameter -= 0.05 * gradient  # noqa: PLW2901
    return net


def half():
    net = nn.Sequential(nn.Linear(5, 9), nn.ReLU(), nn.Dropout(0.2), nn.Linear(9, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**30, growth_interval=5)
    for _ in range(25):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.float16):
            loss = net(torch.randn(16, 5)).float().square().mean() * 100
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    return net


TRAININGS = (mlp, cnn, transformer, gan, lbfgs, by_hand, half)


def outcome(train):
    torch.manual_seed(5)
    return [*train().state_dict().values(), torch.get_rng_state(), torch.randn(3)]


@pytest.mark.parametrize("settings", [{"every": 1}, {}, {"full": True}], ids=str)
@pytest.mark.parametrize("train", TRAININGS, ids=lambda train: train.__name__)
def test_weights_and_random_numbers_are_bitwise_the_same(train, settings, tmp_path):
    bare = outcome(train)
    watching = relume.watch(out=tmp_path / "run", report=False, **settings)
    with watching:
        watched = outcome(train)
    assert watching.fault is None
    assert len(watching.run.layers) >= 1
    assert all(torch.equal(a, b) for a, b in zip(bare, watched, strict=True))


SPACES = (
    torch, torch.Tensor, torch._C._nn, torch._VF, torch.nn.functional, torch.nn.init,
    torch.autograd, torch.autograd.Function, torch.amp.GradScaler, torch.cuda.amp.GradScaler,
    torch.utils.data.DataLoader, nn.Module, nn.Sequential, nn.ReLU, torch.optim.Optimizer,
    torch.optim.SGD, optimizer_hooks, module_hooks, torch.utils.checkpoint, torch.compiler,
)  # fmt: skip
HOOKS = (
    module_hooks._global_forward_pre_hooks, module_hooks._global_forward_hooks,
    module_hooks._global_forward_hooks_always_called,
    module_hooks._global_forward_hooks_with_kwargs,
    module_hooks._global_backward_hooks, module_hooks._global_backward_pre_hooks,
    optimizer_hooks._global_optimizer_pre_hooks, optimizer_hooks._global_optimizer_post_hooks,
)  # fmt: skip


def namespace():
    objects = {(str(space), name): value for space in SPACES for name, value in vars(space).items()}
    return objects, [dict(hooks) for hooks in HOOKS]


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_torch_is_left_object_by_object_as_it_was(error, tmp_path):
    lbfgs()  # what torch itself adds at first use is there
    before, hooks = namespace()
    watching = relume.watch(out=tmp_path / "run", report=False)
    with pytest.raises(error or ZeroDivisionError), watching:
        patched, _ = namespace()
        changed = {name for name in before if patched[name] is not before[name]}
        assert (str(torch), "relu") in changed
        assert (str(torch.autograd), "backward") in changed
        lbfgs()
        if error is not None:
            raise error
        _ = 1 / 0
    after, hooks_after = namespace()
    assert before.keys() == after.keys()
    assert [name for name in before if after[name] is not before[name]] == []
    assert hooks_after == hooks
    assert not any(hooks_after)


MEMORY = """
import gc, json, resource, sys, tracemalloc
import torch, relume
torch.manual_seed(0)
torch.set_num_threads(1)
net = torch.nn.Sequential(
    torch.nn.Linear(256, 512), torch.nn.ReLU(), torch.nn.Linear(512, 512), torch.nn.ReLU(),
    torch.nn.Linear(512, 10),
)
optimizer = torch.optim.SGD(net.parameters(), lr=0.01)


def train(steps):
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.randn(64, 256)).square().mean().backward()
        optimizer.step()


def used():
    gc.collect()
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * resource.getpagesize()
    return resident, tracemalloc.get_traced_memory()[0]


tracemalloc.start()
train(30)
before = used()
if sys.argv[1] == "watched":
    watching = relume.watch(out="run", every=1, report=False).start()
train(100)
early = used()
train(300)
late = used()
if sys.argv[1] == "watched":
    watching.stop()
    assert watching.fault is None
print(json.dumps({"before": before, "early": early, "late": late}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_grows_by_less_than_two_percent_and_50_megabytes(tmp_path):
    found = {}
    for kind in ("bare", "watched"):
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, kind],
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        found[kind] = json.loads(done.stdout)
    resident, traced = zip(*(found[kind]["late"] for kind in ("bare", "watched")), strict=True)
    assert resident[1] < 1.02 * resident[0] + 50e6
    assert traced[1] < 1.02 * traced[0] + 50e6
    grown = [found["watched"]["late"][k] - found["watched"]["early"][k] for k in (0, 1)]
    assert max(grown) < 5e6  # over 300 further steps
