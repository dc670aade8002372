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

# the first module chooses one of 16 symbols, the second reads it
first_model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 16))
second_model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 10))


def predict(x):
    y_p = first_model(x)
    if args.fixed:
        return second_model(y_p.softmax(1))
    symbol = torch.max(y_p, 1)[1]
    return second_model(nn.functional.one_hot(symbol, 16).float())


criterion = nn.CrossEntropyLoss()
parameters = [*first_model.parameters(), *second_model.parameters()]
optimizer = torch.optim.Adam(parameters, lr=3e-3)

for epoch in range(15):
    total = 0.0
    for x, y in loader:
        first_model.zero_grad()
        second_model.zero_grad()
        loss = criterion(predict(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch} loss {total / len(loader):.4f}")

print("first gradient:", next(first_model.parameters()).grad is not None)
with torch.no_grad():
    accuracy = (predict(images[test]).argmax(1) == labels[test]).float().mean().item()
print(f"score: {accuracy:.3f}")
