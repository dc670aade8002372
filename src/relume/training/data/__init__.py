"""Data: tables become tensors, split and encoded without leakage. The door is :mod:`.prepare`."""
