"""A training loop by Accelerate: a prepared model, optimizer and loader, and accumulation."""

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from fingerprint import print_fingerprint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(9, 18)
        self.act = nn.ReLU()
        self.outer = nn.Linear(18, 3)

    def forward(self, x):
        return self.outer(self.act(self.inner(x)))  # sees act 18


def main():
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    set_seed(8)
    X, y = torch.randn(192, 9), torch.randint(0, 3, (192,))
    loader = DataLoader(TensorDataset(X, y), batch_size=16, shuffle=True)
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total_iters=12)
    model, optimizer, loader, schedule = accelerator.prepare(model, optimizer, loader, schedule)
    for epoch in range(2):
        model.train()
        for x, target in loader:
            with accelerator.accumulate(model):
                loss = nn.functional.cross_entropy(model(x), target)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()  # steps 12
                schedule.step()
                optimizer.zero_grad()
        accelerator.print(epoch, f"{loss.item():.6f}")
    print_fingerprint(accelerator.unwrap_model(model))


if __name__ == "__main__":
    main()
