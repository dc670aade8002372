"""Keras on its torch backend: a callback watches the fit of a model."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np

from relume.integrations.keras import WatchCallback


def main():
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(640, 10)).astype("float32")
    y = x[:, :3].argmax(1)
    model = keras.Sequential(
        [
            keras.layers.Input((10,)),
            keras.layers.Dense(32, activation="relu", name="hidden"),
            keras.layers.Dense(3),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(
        x,
        y,
        epochs=5,
        batch_size=32,
        validation_split=0.2,
        verbose=0,
        callbacks=[WatchCallback(out="watched")],
    )


if __name__ == "__main__":
    main()
