"""A fit of Lightning's Trainer."""

import logging
import warnings

import torch
from pytorch_lightning import LightningModule, Trainer, seed_everything
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
warnings.filterwarnings("ignore")


class Classifier(LightningModule):
    def __init__(self, on_batch):
        super().__init__()
        self.on_batch = on_batch
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

    def training_step(self, batch, _):
        self.on_batch()
        loss = nn.functional.cross_entropy(self.layers(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, _):
        self.log("score", nn.functional.cross_entropy(self.layers(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


def train(adapter, on_batch):
    seed_everything(0, verbose=False)
    data = TensorDataset(torch.randn(64, 6), torch.randint(0, 3, (64,)))
    model = Classifier(on_batch)
    trainer = Trainer(
        max_epochs=2,
        callbacks=[adapter] if adapter else [],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, DataLoader(data, 8, shuffle=True), DataLoader(data, 64))
    return [value.numpy() for value in model.state_dict().values()]
