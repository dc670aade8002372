"""Per-unit statistics of tensors."""
