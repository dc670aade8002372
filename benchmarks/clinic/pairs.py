"""Two faults at once: both are true, and so are the consequences of both."""

PAIRS = (
    ("inputs unscaled", "rate too high"),
    ("inputs unscaled", "bounded activation on logits"),
    ("targets unscaled", "rate too low"),
    ("softmax before cross-entropy", "rate too low"),
    ("softmax before cross-entropy", "classes out of balance"),
    ("squared error on classes", "no nonlinearity between layers"),
    ("gradients never zeroed", "rate too high"),
    ("all weights equal", "bounded activation on logits"),
    ("few rows and a large network", "validation rows in training"),
    ("ReLU on the output", "targets unscaled"),
    ("eval() left on", "softmax before cross-entropy"),
    ("only the head optimised", "deep network with small weights"),
    ("loss broadcast", "rate too low"),
    ("sigmoid before BCE with logits", "deep sigmoid network"),
    ("tiny batches under batch norm", "labels shuffled against the inputs"),
    ("biases far below zero", "trunk detached"),
    ("inputs constant", "rate too high"),
    ("head far too large at the start", "stopped too early"),
)
"""The mildest level of each but the gravest of the first in the second severity."""
