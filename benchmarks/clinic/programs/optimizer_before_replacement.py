import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--fixed", action="store_true")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
torch.manual_seed(args.seed)

images, labels = load_digits(return_X_y=True)
images, labels = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
order = torch.randperm(len(images))
train, test = order[:1400], order[1400:]
loader = DataLoader(TensorDataset(images[train], labels[train]), batch_size=32, shuffle=True)

model = nn.Sequential(
    nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


def accuracy():
    with torch.no_grad():
        return (model(images[test]).argmax(1) == labels[test]).float().mean().item()


def fit(epochs):
    for epoch in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.4f} accuracy {accuracy():.3f}")


def smaller(linear, rows, columns):  # the layer with some of its units and inputs left
    layer = nn.Linear(len(columns), len(rows))
    layer.weight.data = linear.weight.data[rows][:, columns].clone()
    layer.bias.data = linear.bias.data[rows].clone()
    return layer


fit(4)
print("pruning: the 12 units of each layer with the largest weights stay")
kept = [model[i].weight.abs().sum(1).topk(12).indices for i in (0, 2)]
model[0] = smaller(model[0], kept[0], torch.arange(64))
model[2] = smaller(model[2], kept[1], kept[0])
model[4] = smaller(model[4], torch.arange(10), kept[1])
print(f"accuracy {accuracy():.3f}, now fine-tuning")
if args.fixed:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
fit(10)
print(f"score: {accuracy():.3f}")
