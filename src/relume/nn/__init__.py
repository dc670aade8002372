"""Activations, their facts, initialisation and networks."""
