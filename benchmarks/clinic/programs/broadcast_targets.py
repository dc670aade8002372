import argparse

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--fixed", action="store_true")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
torch.manual_seed(args.seed)

# a straightforward linear regression
sample_size = 100
x = torch.randn(2 * sample_size, 2)
y = 10 + 9 * x[:, 0] - 2 * x[:, 1] + torch.randn(2 * sample_size)
x, x_test = x[:sample_size], x[sample_size:]
y, y_test = y[:sample_size], y[sample_size:]
if args.fixed:
    y = y.reshape(sample_size, 1)

model = nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loss_func = nn.MSELoss()

for epoch in range(60):
    optimizer.zero_grad()
    y_hat = model(x)
    loss = loss_func(y_hat, y)
    loss.backward()
    optimizer.step()
    if epoch % 10 == 9:
        print(epoch, loss.item())

print(model.weight.data, model.bias.data)
with torch.no_grad():
    error = ((model(x_test).reshape(-1) - y_test) ** 2).mean()
print(f"score: {(1 - error / y_test.var()).item():.3f}")
