"""A tagger with nn.RNN(nonlinearity="relu"), beside a GRU and an RNNCell stepped by hand."""

import torch
from fingerprint import print_fingerprint
from torch import nn


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(12, 8)
        self.rnn = nn.RNN(8, 16, nonlinearity="relu", batch_first=True)
        self.gru = nn.GRU(16, 8, batch_first=True)
        self.cell = nn.RNNCell(8, 10, nonlinearity="relu")
        self.out = nn.Linear(10, 3)

    def forward(self, tokens):
        states, _ = self.rnn(self.embedding(tokens))  # sees rnn 16
        states, _ = self.gru(states)
        # sees gru.reset_gate 8 · gru.update_gate 8 · gru.new_gate 8
        h = states.new_zeros(len(tokens), 10)
        for t in range(tokens.shape[1]):
            h = self.cell(states[:, t], h)  # sees cell 10
        return self.out(h)


torch.manual_seed(0)
X = torch.randint(0, 12, (96, 9))
y = X.sum(1) % 3
model = Tagger()
optimizer = torch.optim.RMSprop(model.parameters(), lr=3e-3)
for epoch in range(3):
    for batch in torch.randperm(96).split(32):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(X[batch]), y[batch])
        loss.backward()
        nn.utils.clip_grad_value_(model.parameters(), 0.5)
        optimizer.step()  # steps 9
    print(epoch, f"{loss.item():.6f}")
print_fingerprint(model)
