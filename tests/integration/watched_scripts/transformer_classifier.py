"""A transformer encoder that classifies sequences; it is evaluated on torch's fast path."""

import torch
from fingerprint import print_fingerprint
from torch import nn


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 16)
        self.position = nn.Parameter(torch.randn(1, 12, 16) * 0.02)
        layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=2)
        self.head = nn.Linear(16, 4)

    def forward(self, tokens):
        x = self.embedding(tokens) + self.position
        x = self.encoder(x)
        # sees relu(encoder.layers.0.linear1) 32 · relu(encoder.layers.1.linear1) 32
        return self.head(x.mean(1))


def main():
    torch.manual_seed(0)
    X = torch.randint(0, 20, (160, 12))
    y = X[:, 0] % 4
    model = Classifier()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=10)
    for epoch in range(2):
        model.train()
        for batch in torch.randperm(128).split(26):
            loss = nn.functional.cross_entropy(model(X[batch]), y[batch], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()  # steps 10
            schedule.step()
        model.eval()
        with torch.inference_mode():
            logits = model(X[128:])
        print(epoch, f"{loss.item():.6f} {logits.double().sum().item():.9f}")
    print_fingerprint(model)


if __name__ == "__main__":
    main()
