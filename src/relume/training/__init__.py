"""Training: data, loop, checkpoints, scores."""
