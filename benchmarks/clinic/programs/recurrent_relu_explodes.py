import argparse

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--fixed", action="store_true")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
torch.manual_seed(args.seed)

WORDS, BPTT = 20, 35


def make_text(length):  # each word but the noisy ones follows from the one before it
    follows = torch.randperm(WORDS, generator=torch.Generator().manual_seed(5))
    text = [0]
    for noise in torch.rand(length - 1).tolist():
        text.append(int(follows[text[-1]]) if noise < 0.8 else int(noise * 1e6) % WORDS)
    return torch.tensor(text).view(20, -1).t().contiguous()  # 20 columns, one time step a row


train, test = make_text(14000), make_text(2000)


class RNNModel(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.encoder = nn.Embedding(WORDS, width)
        self.rnn = nn.RNN(width, width, 2, nonlinearity="tanh" if args.fixed else "relu")
        self.decoder = nn.Linear(width, WORDS)

    def forward(self, words, hidden=None):
        output, hidden = self.rnn(self.encoder(words), hidden)
        return self.decoder(output).view(-1, WORDS), hidden


model = RNNModel()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=4.0)

for epoch in range(8):
    hidden, total = None, 0.0
    for i in range(0, len(train) - BPTT - 1, BPTT):
        optimizer.zero_grad()
        output, hidden = model(train[i : i + BPTT], hidden)
        loss = criterion(output, train[i + 1 : i + BPTT + 1].reshape(-1))
        loss.backward()
        optimizer.step()
        hidden = hidden.detach()
        total += loss.item()
    print(f"epoch {epoch} loss {total / (len(train) // BPTT):.3f}")

with torch.no_grad():
    hits = model(test[:-1])[0].argmax(1) == test[1:].reshape(-1)
print(f"score: {hits.float().mean().item():.3f}")
