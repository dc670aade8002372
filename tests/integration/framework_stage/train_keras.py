"""A fit of Keras on torch."""

import keras
import numpy as np


class OnBatch(keras.callbacks.Callback):
    def __init__(self, on_batch):
        super().__init__()
        self.on_batch = on_batch

    def on_train_batch_begin(self, batch, logs=None):
        self.on_batch()


def train(adapter, on_batch):
    keras.utils.set_random_seed(0)
    numbers = np.random.default_rng(0)
    model = keras.Sequential(
        [
            keras.layers.Input((6,)),
            keras.layers.Dense(8, activation="relu", name="layers"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(3),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(
        numbers.normal(size=(64, 6)).astype(np.float32),
        numbers.integers(0, 3, 64),
        epochs=2,
        batch_size=8,
        verbose=0,
        callbacks=[OnBatch(on_batch), *([adapter] if adapter else [])],
    )
    return model.get_weights()
