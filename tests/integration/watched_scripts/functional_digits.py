"""The convolutional net of the MNIST example, functional, with training and test loops."""

import torch
import torch.nn.functional as F
from fingerprint import print_fingerprint
from sklearn.datasets import load_digits
from torch import nn, optim
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, 1)
        self.conv2 = nn.Conv2d(8, 12, 3, 1)
        self.dropout = nn.Dropout(0.25)
        self.fc1 = nn.Linear(48, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x):
        x = self.conv1(x)
        x = F.relu(x)  # sees relu(conv1) 8
        x = self.conv2(x)
        x = F.relu(x)  # sees relu(conv2) 12
        x = F.max_pool2d(x, 2)
        x = torch.flatten(self.dropout(x), 1)
        x = F.relu(self.fc1(x))  # sees relu(fc1) 32
        return F.log_softmax(self.fc2(x), dim=1)


def train(model, loader, optimizer, epoch):
    model.train()
    for data, target in loader:
        optimizer.zero_grad()
        loss = F.nll_loss(model(data), target)
        loss.backward()
        optimizer.step()  # steps 20
        print(f"epoch {epoch} loss {loss.item():.6f}")


def test(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(data).argmax(1), target) for data, target in loader]
    correct = sum((guess == target).sum().item() for guess, target in pairs)
    print(f"accuracy {correct / len(loader.dataset):.4f}")


if __name__ == "__main__":
    torch.manual_seed(1)
    digits = load_digits()
    X, y = torch.tensor(digits.images).float().unsqueeze(1) / 16, torch.tensor(digits.target)
    train_loader = DataLoader(TensorDataset(X[:640], y[:640]), batch_size=64, shuffle=True)
    test_loader = DataLoader(TensorDataset(X[1500:], y[1500:]), batch_size=100)
    model = Net()
    optimizer = optim.Adadelta(model.parameters(), lr=1.0)
    scheduler = StepLR(optimizer, step_size=1, gamma=0.7)
    for epoch in (1, 2):
        train(model, train_loader, optimizer, epoch)
        test(model, test_loader)
        scheduler.step()
    print_fingerprint(model)
