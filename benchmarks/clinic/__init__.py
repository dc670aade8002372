"""Trainings of known truth, against which the diagnosis is held."""
