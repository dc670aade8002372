"""The clinic: many short trainings of known truth, by which findings are judged.

A grid (``grid.py``) says which data set, network, fault, severity and seed are trained, and which
codes are right to report: those that name the fault, and those of its consequences. Both were
written down before any rule was. Two parts, ``tuning`` and ``validation``, share no data set, no
network and no seed.

Whether a fault did harm is measured, beside the same training without it (``outcomes.py``).
"""
