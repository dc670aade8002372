import argparse

import torch
from torch import nn
from torch.nn import functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--fixed", action="store_true")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
torch.manual_seed(args.seed)

WORDS, BPTT = 30, 20


def make_text(length):  # each word depends on the two before it
    generator = torch.Generator().manual_seed(7)
    table = torch.randint(WORDS, (WORDS, 2), generator=generator)
    text = [0, 1]
    for noise in torch.rand(length).tolist():
        likely = int(table[text[-1], text[-2] % 2])
        text.append(likely if noise < 0.7 else int(noise * 1e6) % WORDS)
    return torch.tensor(text)


train = make_text(11998).view(20, -1).t().contiguous()  # 20 columns of text, one time step a row
test = make_text(1998).view(20, -1).t().contiguous()


class RNNModel(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.encoder = nn.Embedding(WORDS, width)
        self.rnn = nn.LSTM(width, width)
        self.decoder = nn.Linear(width, WORDS)

    def forward(self, words):
        output, _ = self.rnn(self.encoder(words))
        scores = self.decoder(output).view(-1, WORDS)
        return F.log_softmax(scores, dim=1) if args.fixed else scores


model = RNNModel()
criterion = nn.NLLLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)

for epoch in range(6):
    total = 0.0
    for i in range(0, len(train) - BPTT - 1, BPTT):
        optimizer.zero_grad()
        loss = criterion(model(train[i : i + BPTT]), train[i + 1 : i + BPTT + 1].reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()
        total += loss.item()
    print(f"epoch {epoch} loss {total / (len(train) // BPTT):.3f}")

with torch.no_grad():
    hits = model(test[:-1]).argmax(1) == test[1:].reshape(-1)
print(f"score: {hits.float().mean().item():.3f}")
