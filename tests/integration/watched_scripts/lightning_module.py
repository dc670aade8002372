"""A LightningModule and its Trainer, with validation."""

import torch
import torch.nn.functional as F
from fingerprint import print_fingerprint
from pytorch_lightning import LightningModule, Trainer, seed_everything
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Classifier(LightningModule):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 12))
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        x = self.backbone(x)  # sees backbone.1 16
        return self.head(F.relu(x))  # sees relu(backbone.2) 12

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("accuracy", (self(x).argmax(1) == y).float().mean())

    def on_validation_epoch_end(self):
        print("validated", self.current_epoch)

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=0.01)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)]


if __name__ == "__main__":
    seed_everything(3, verbose=False)
    X, y = torch.randn(160, 10), torch.randint(0, 3, (160,))
    train = DataLoader(TensorDataset(X[:128], y[:128]), batch_size=32, shuffle=True)
    valid = DataLoader(TensorDataset(X[128:], y[128:]), batch_size=32)
    model = Classifier()
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    trainer = Trainer(max_epochs=3, accelerator="cpu", enable_checkpointing=False, **quiet)
    trainer.fit(model, train, valid)  # steps 12
    print({name: round(float(v), 6) for name, v in trainer.callback_metrics.items()})
    print_fingerprint(model)
