"""Features and classifier in two Sequentials of in-place ReLUs, as AlexNet is written."""

import torch
from fingerprint import print_fingerprint
from torch import nn


class AlexNet(nn.Module):
    def __init__(self, classes=4, dropout=0.5):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, kernel_size=5, stride=2, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(8, 12, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout),
            nn.Linear(12 * 2 * 2, 24),
            nn.ReLU(inplace=True),
            nn.Dropout(p=dropout),
            nn.Linear(24, 24),
            nn.ReLU(inplace=True),
            nn.Linear(24, classes),
        )

    def forward(self, x):
        x = self.features(x)  # sees features.1 8 · features.4 12
        x = self.avgpool(x)
        x = torch.flatten(x, 1)
        return self.classifier(x)  # sees classifier.2 24 · classifier.5 24


def main():
    torch.manual_seed(2)
    X, y = torch.rand(64, 3, 32, 32), torch.randint(0, 4, (64,))
    net = AlexNet()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    for step, batch in enumerate(torch.randint(0, 64, (8, 16))):
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(net(X[batch]), y[batch])
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()  # steps 8
        print(step, f"{loss.item():.6f}")
    print_fingerprint(net)


main()
