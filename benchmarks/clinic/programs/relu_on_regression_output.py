import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--fixed", action="store_true")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

# peptides of up to 20 amino acids (0 pads), and their retention times between 0 and 1
torch.manual_seed(1000 + args.seed)
LETTERS, LENGTH = 20, 20
peptides = torch.randint(1, LETTERS + 1, (1500, LENGTH))
lengths = torch.randint(8, LENGTH + 1, (1500, 1))
peptides[torch.arange(LENGTH) >= lengths] = 0
weight = torch.cat(
    [torch.zeros(1), torch.randn(LETTERS, generator=torch.Generator().manual_seed(3))]
)
times = weight[peptides].sum(1) + 0.1 * torch.randn(1500)
times = ((times - times.min()) / (times.max() - times.min())).view(-1, 1)
loader = DataLoader(TensorDataset(peptides[:1200], times[:1200]), batch_size=32, shuffle=True)

torch.manual_seed(args.seed)


class RetentionTimeModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(LETTERS + 1, 16, padding_idx=0)
        self.lstm = nn.LSTM(16, 32, batch_first=True)
        self.fc1 = nn.Linear(32, 32)
        self.output = nn.Linear(32, 1)
        self.relu = nn.ReLU()

    def forward(self, x):
        _, (hidden, _) = self.lstm(self.embedding(x))
        x = self.output(self.relu(self.fc1(hidden[-1])))
        return x if args.fixed else self.relu(x)


model = RetentionTimeModel()
criterion = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

for epoch in range(12):
    total = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch} loss {total / len(loader):.4f}")

with torch.no_grad():
    error = ((model(peptides[1200:]) - times[1200:]) ** 2).mean()
print(f"score: {(1 - error / times[1200:].var()).item():.3f}")
