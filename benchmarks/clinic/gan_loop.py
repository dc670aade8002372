"""The loop of a script that trains a generator against a discriminator (Goodfellow et al. 2014)."""

import torch
import torch.nn.functional as F  # noqa: N812

from benchmarks.clinic.loop import History
from benchmarks.clinic.observer import Observer
from benchmarks.clinic.scoring import likeness
from benchmarks.clinic.session import Session


def train_gan(session: Session, observer: Observer) -> History:
    """Train both networks in turns, each with its own Adam."""
    history, model, rate = History(), session.model, session.recipe.rate
    of_generator = torch.optim.Adam(model.generator.parameters(), lr=rate, betas=(0.5, 0.999))
    of_judge = torch.optim.Adam(model.discriminator.parameters(), lr=rate, betas=(0.5, 0.999))
    observer.begin(model, of_judge, F.binary_cross_entropy_with_logits)
    for epoch in range(session.recipe.epochs):
        model.train()
        total = 0.0
        for x, y in session.train_loader:
            made = model.generator(torch.randn(len(x), model.noise))

            of_judge.zero_grad()
            real, fake = model.discriminator(x), model.discriminator(made.detach())
            loss = F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
            loss = loss + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
            loss.backward()
            history.steps += 1
            observer.after_backward(history.steps, model, loss, (x, y))
            of_judge.step()

            of_generator.zero_grad()
            fake = model.discriminator(made)
            g_loss = F.binary_cross_entropy_with_logits(fake, torch.ones_like(fake))
            g_loss.backward()
            of_generator.step()
            total += loss.item()
        _end(session, history, total, epoch, observer)
    return history


def _end(session: Session, history: History, total: float, epoch: int, observer: Observer) -> None:
    model = session.model
    model.eval()
    with torch.no_grad():
        draw = torch.Generator().manual_seed(0)
        made = model.generator(torch.randn(len(session.task.valid.x), model.noise, generator=draw))
        claimed = likeness(made, session.task.valid)
    mean = total / len(session.train_loader)
    history.train_losses.append(mean)
    history.valid_losses.append(mean)
    history.valid_scores.append(claimed)
    observer.end_epoch(epoch, model, mean, mean, claimed)
