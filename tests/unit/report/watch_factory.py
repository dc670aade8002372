"""Run files as a watched training leaves them: planted deaths, saturation, gaps, scores, cost."""

from dataclasses import replace

import numpy as np

from relume.runs.records import (
    NEVER,
    Cause,
    Deaths,
    Layer,
    LayerWindow,
    Lifetimes,
    Metric,
    Moments,
    RunInfo,
    UnitActivity,
    Window,
)
from relume.runs.store import RunWriter

BATCH = 64
PERIOD = 10
"""Every tenth step is armed."""

LAYERS = (
    Layer("relu(fc1)", "relu", 128, True, "fc1", "train.py:12"),
    Layer("relu(fc2)", "relu", 96, True, "fc2", "train.py:13"),
    Layer("gate", "tanh", 32, False, "gate.linear", "model.py:41", saturates=True),
    Layer("mixer.act", "gelu", 64, False, "mixer.linear", "model.py:57"),
)
DEATHS = {
    **{(0, unit): (121, Cause.LARGE_UPDATE, 8.4) for unit in range(40, 77)},
    **{(0, unit): (1, Cause.FROM_START, np.nan) for unit in (3, 9)},
    (0, 100): (1221, Cause.UNKNOWN, 0.31),
    **{(1, unit): (801, Cause.RATE_STEP, 2.0) for unit in range(20, 25)},
    **{(1, unit): (1501, Cause.GRADIENT_SPIKE, 1.25) for unit in (50, 51)},
    (1, 70): (1601, Cause.INPUT_DRIFT, 0.004),
    (1, 71): (1651, Cause.UPSTREAM_DEATH, 0.01),
    **{(2, unit): (1001, Cause.UNKNOWN, np.nan) for unit in (5, 6, 7)},
}
"""(layer, unit) -> first step at which it does not fire any more, why, and its weights' change."""

DORMANT = {3: (8, 61)}
INFO = RunInfo(
    kind="watch",
    status="finished",
    settings={"budget": 0.01},
    data={"name": "train.py"},
    environment={"relume": "0.1.0", "torch": "2.13.0", "command": "relume run train.py"},
    overhead={"budget": 0.01, "measured_share": 0.0078, "armed_steps": 200, "period": PERIOD},
)
UNOBSERVED = {("relu of torch.func", "losses.py:9"): 2000, ("lstm", ""): 40}


def activity(index, step, rng, layers, deaths):
    units = layers[index].units
    rate = 0.1 + 0.6 * (np.arange(units) * 37 % units) / units
    for (at, unit), (death, _, _) in deaths.items():
        if at == index and step >= death:
            rate[unit] = 0.0
    fired = np.where(rate > 0, np.maximum(1, rng.binomial(BATCH, rate)), 0)
    size = np.ones(units)
    size[list(DORMANT.get(index, ()))] = 0.01
    return UnitActivity(BATCH, BATCH, fired, fired * size, BATCH * size**2, BATCH, fired * 1e-3)


def window(number, rng, layers, deaths):
    """Ten steps, of which the first is armed."""
    first = number * PERIOD + 1
    rate = 0.1 if first > 800 else 0.01
    spike = 50.0 if number == 150 else 1.0
    norm = Moments.of(0.8 * spike * rng.lognormal(0, 0.1))
    parts = [
        LayerWindow(activity(index, first, rng, layers, deaths), norm, Moments.of(4e-3))
        for index in range(len(layers))
    ]
    losses = (2.3 * 0.999 ** (first + i) + rng.normal(0, 0.02) for i in range(PERIOD))
    loss = sum(map(Moments.of, losses), Moments())
    return Window(first, first + PERIOD - 1, 1, loss, rate, tuple(parts))


def certificates(windows, layers, deaths):
    """Lifetimes and death certificates as the planted deaths and the armed steps make them."""
    lives = [Lifetimes.unseen(layer.units) for layer in layers]
    for each in windows:
        lives = [
            life.after(each.first_step, part.activity.fired, part.activity.rows)
            for life, part in zip(lives, each.layers, strict=True)
        ]
    certified = []
    for index, (layer, life) in enumerate(zip(layers, lives, strict=True)):
        cause = np.where(life.first_silent == NEVER, Cause.ALIVE, Cause.UNKNOWN).astype(np.int8)
        change = np.full(layer.units, np.nan)
        for (at, unit), (_, why, moved) in deaths.items():
            if at == index:
                cause[unit], change[unit] = why, moved
        certified.append(Deaths(life.last_fired, life.first_silent, change, cause))
    return lives, certified


def write_watch_run(
    path, *, layers=LAYERS, deaths=DEATHS, info=INFO, unobserved=UNOBSERVED, windows=200, seed=0
):
    """Write the run file of one process."""
    rng = np.random.default_rng(seed)
    seen = [window(number, rng, layers, deaths) for number in range(windows)]
    lives, certified = certificates(seen, layers, deaths)
    writer = RunWriter(path)
    writer.update_info(info)
    writer.set_layers(layers)
    for each in seen:
        writer.write_window(each, [])
    writer.write_window(seen[-1], lives)
    writer.write_deaths(certified)
    writer.write_unobserved(unobserved)
    writer.write_metrics(
        [Metric("accuracy", step, 1 - 0.9 * 0.8 ** (step / 200)) for step in range(200, 2001, 200)]
    )
    writer.close()
    return path


def write_healthy_run(path):
    """Write a run in which nothing died and nothing went unobserved, without scores or cost."""
    return write_watch_run(
        path, deaths={}, layers=LAYERS[:2], unobserved={}, info=replace(INFO, overhead={})
    )
