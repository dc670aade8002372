"""The clinic: many short trainings of known truth, by which findings are judged.

A grid (``grid.py``) says which data set, network, fault, severity and seed are trained, and which
codes are right to report: those that name the fault, and those of its consequences. Both were
written down before any rule was. Two parts, ``tuning`` and ``validation``, share no data set, no
network and no seed; ``tuning`` has two groups of scenarios, one of which was validated on before
(``scenarios.Group``, docs/adr/0011).

Whether a fault did harm is measured, beside the same training without it (``outcomes.py``).

Steps, each cached on its own (``cache.py``), so that an interrupted run goes on where it was:

1. train: each case under ``relume.watch`` with every 5th step measured, or more often where a run
   is short (``training.period_of``), and its twins without a watch;
2. judge: the rules read the run files that were kept; a changed rule trains nothing again;
3. show: labels, shares with Wilson intervals, the precision of each rule.

    python -m benchmarks.clinic [--judge] [--slice] [--part tuning] [--worst] [--show CASE]

Another way to judge is held against the same trainings by an observer, called from inside the loop
(``observer.Observer``)::

    outcome = run_case(case, observer=rival)

with ``begin(model, optimizer, loss_fn)`` before the first step, ``after_backward(step, model, loss,
batch)`` while the gradients are there and before the weights move, and ``end_epoch(epoch, model,
train_loss, valid_loss, score)`` after each validation. What it finds, as a sequence of mappings
with ``code``, ``severity`` and ``consequences``, goes with case and label into ``figures.Judged``;
``figures.figures_of`` makes the same figures of it. Labels do not depend on who judges:
``results.Clinic.of(cases, cache)`` has them. The rivals are held against it so (``rivals.py``)::

    python -m benchmarks.clinic.rivals [--part validation] [--packages FOLDER]
"""
