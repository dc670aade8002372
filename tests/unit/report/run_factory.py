"""Run files as a training of handwritten digits leaves them, written through ``RunWriter``."""

from dataclasses import replace

import numpy as np

from relume.runs.records import (
    Epoch,
    Layer,
    LayerWindow,
    Lifetimes,
    Moments,
    RunInfo,
    UnitActivity,
    Window,
)
from relume.runs.store import RunWriter

BATCH = 64
TRAIN_ROWS = 1149
HELD_OUT_ROWS = 288
RESULT = {
    "metric": "accuracy",
    "score": 0.9833,
    "interval": [0.9667, 0.9944],
    "confidence": 0.95,
    "rows": 360,
    "baselines": [
        {
            "name": "majority class",
            "score": 0.1028,
            "interval": [0.0722, 0.1361],
            "difference": 0.8805,
            "difference_interval": [0.8444, 0.9139],
        },
        {
            "name": "logistic regression",
            "score": 0.9611,
            "interval": [0.9389, 0.9806],
            "difference": 0.0222,
            "difference_interval": [0.0056, 0.0417],
        },
    ],
    "best_epoch": 11,
    "stopped": "after epoch 15: no better validation loss for 4 epochs",
    "network": "Linear(64, 128)\n  ReLU\nLinear(128, 10)",
}
INFO = RunInfo(
    status="finished",
    settings={
        "network": "mlp",
        "hidden": [128, 128, 128],
        "activation": "relu",
        "lr": 0.002,
        "dropout": 0.1,
        "label_smoothing": 0.1,
        "test": None,
        "seed": 0,
    },
    data={
        "name": "digits",
        "task": "classification",
        "target": "digit",
        "rows": {"train": TRAIN_ROWS, "validation": 288, "test": 360},
        "features": 64,
        "classes": [str(digit) for digit in range(10)],
        "notes": ["3 columns hold one value only and were left out"],
        "fingerprint": "5d1f0c",
    },
    environment={
        "relume": "0.1.0",
        "torch": "2.13.0",
        "python": "3.11.2",
        "platform": "Linux",
        "device": "cpu",
        "threads": 2,
        "command": "relume fit digits",
    },
    result=RESULT,
)
LAYERS = (
    Layer("hidden.0.activation", "relu", 128, True, "hidden.0.linear"),
    Layer("hidden.1.activation", "relu", 128, True, "hidden.1.linear"),
    Layer("hidden.2.activation", "relu", 128, True, "hidden.2.linear"),
)
DEATHS = {(0, 17): 40, (1, 3): 1, (1, 90): 101}
"""(layer, unit) -> first step at which it does not fire any more."""


class Training:
    """A made-up training with known deaths: windows, lifetimes, epochs and examination."""

    def __init__(self, layers=LAYERS, deaths=DEATHS, *, windows=60, window_steps=5, seed=0):
        self.layers, self.deaths = layers, deaths
        self.windows_count, self.window_steps = windows, window_steps
        self.rng = np.random.default_rng(seed)
        self.rates = [self.rng.beta(2, 4, layer.units) * 0.97 + 0.02 for layer in layers]
        self.fading = {(2, 5)} if len(layers) > 2 else set()

    @property
    def steps(self):
        return self.windows_count * self.window_steps

    def rate(self, index, step):
        layer, rates = self.layers[index], self.rates[index].copy()
        rates *= 1 - 0.3 * step / self.steps
        for at, unit in self.fading:
            if at == index:
                rates[unit] = max(0.3 * (1 - 1.2 * step / self.steps), 0.004)
        for (at, unit), death in self.deaths.items():
            if at == index and step >= death and layer.can_die:
                rates[unit] = 0.0
        return rates

    def activity(self, index, step, rows):
        rates = self.rate(index, step)
        fired = self.rng.binomial(rows, rates)
        total = fired * self.rng.uniform(0.5, 1.5, len(rates))
        return UnitActivity(rows, rows, fired, total, total**2 / rows, rows, fired * 1e-3)

    def window(self, number):
        first = number * self.window_steps + 1
        last = first + self.window_steps - 1
        losses = [
            2.3 * 0.985**step + 0.08 + self.rng.normal(0, 0.02) for step in range(first, last + 1)
        ]
        parts = []
        for index in range(len(self.layers)):
            norm = 0.8 * 0.6 ** (len(self.layers) - index) * 0.993**first
            flow = Moments.of(norm * self.rng.lognormal(0, 0.15))
            parts.append(
                LayerWindow(
                    self.activity(index, last, BATCH),
                    flow if self.layers[index].owner else Moments(),
                    Moments.of(norm * 4e-3) if self.layers[index].owner else Moments(),
                )
            )
        lr = 0.002 * min(1.0, last / 20) * (1 + np.cos(np.pi * last / self.steps)) / 2
        loss = sum(map(Moments.of, losses), Moments())
        return Window(first, last, 1, loss, float(lr), tuple(parts))

    def windows(self):
        return [self.window(number) for number in range(self.windows_count)]

    def epochs(self, count=15):
        units = sum(layer.units for layer in self.layers)
        for epoch in range(1, count + 1):
            step = epoch * self.steps // count
            validation = 0.09 + 1.8 * 0.7**epoch + 0.05 * max(0, epoch - 11)
            dead = sum(death <= step for death in self.deaths.values())
            score = 0.985 - 0.6 * 0.65**epoch
            yield Epoch(
                epoch, step, 2.3 * 0.7**epoch + 0.08, validation, score, 1e-3, units - dead, units
            )

    def examination(self, rows=TRAIN_ROWS):
        return [
            replace(self.activity(index, self.steps, rows), gradient_positions=0)
            for index in range(len(self.layers))
        ]


def lifetimes_after(windows, layers):
    """The lifetimes that a monitor keeps: each window's last step is its only armed one."""
    lives = [Lifetimes.unseen(layer.units) for layer in layers]
    for window in windows:
        if window.armed_steps:
            lives = [
                life.after(window.last_step, part.activity.fired, part.activity.rows)
                for life, part in zip(lives, window.layers, strict=True)
            ]
    return lives


def write_run(path, training=None, *, info=INFO, ended=True, epochs=15):
    """Write a run file; ``ended=False`` leaves it as a killed or running training does."""
    training = training or Training()
    windows = training.windows()
    writer = RunWriter(path)
    writer.update_info(info if ended else replace(info, status="running", result={}))
    writer.set_layers(training.layers)
    for count, window in enumerate(windows, start=1):
        writer.write_window(window, [])
        if count == len(windows):
            writer.write_window(window, lifetimes_after(windows, training.layers))
    for epoch in training.epochs(epochs) if epochs else ():
        writer.write_epoch(epoch)
    if ended:
        writer.write_examination(training.examination(), held_out_rows=HELD_OUT_ROWS)
    writer.close()
    return path
