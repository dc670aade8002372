"""Lightning: a callback watches the fit of a Trainer."""

import pytorch_lightning as pl  # or: import lightning.pytorch as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from relume.integrations.lightning import WatchCallback


class Classifier(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 3))

    def training_step(self, batch, _):
        x, y = batch
        loss = nn.functional.cross_entropy(self.layers(x), y)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, _):
        x, y = batch
        self.log("accuracy", (self.layers(x).argmax(1) == y).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


def main():
    pl.seed_everything(0)
    x = torch.randn(640, 10)
    data = TensorDataset(x, x[:, :3].argmax(1))
    train, valid = torch.utils.data.random_split(data, [512, 128])
    trainer = pl.Trainer(
        max_epochs=5,
        callbacks=[WatchCallback(out="watched")],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    trainer.fit(Classifier(), DataLoader(train, 32, shuffle=True), DataLoader(valid, 128))


if __name__ == "__main__":
    main()
