"""Which faults of the clinic can be cured from outside, and by what.

Written down before any repair was run. A fault is curable where a change that ``relume cure`` can
make to a training from outside, without other rows, other labels or more steps, can give back what
it costs. The others are named with the reason why none can.
"""

from collections.abc import Mapping

CURABLE: Mapping[str, str] = {
    "inputs unscaled": "rescale the inputs",
    "inputs not finite": "skip steps that are not finite",
    "targets unscaled": "rescale the targets",
    "softmax over one unit": "take the head's activation away",
    "softmax before cross-entropy": "give the loss what it asks for",
    "sigmoid before BCE with logits": "give the loss what it asks for",
    "logits where probabilities belong": "give the loss what it asks for",
    "NLL without log": "give the loss what it asks for",
    "bounded activation on logits": "take the head's activation away",
    "head cannot reach the targets": "take the head's activation away",
    "ReLU on the output": "take the head's activation away",
    "loss broadcast": "give both the same shape",
    "head far too large at the start": "initialise anew",
    "biases far below zero": "initialise anew",
    "biases far above zero": "initialise anew",
    "half of the units start at almost nothing": "initialise anew",
    "bounded units far out": "initialise anew",
    "all weights equal": "break the symmetry",
    "latent units switched off": "lift the biases",
    "slopes of PReLU below zero": "initialise anew",
    "weight decay on PReLU slopes": "exclude slopes from decay",
    "SELU as if it were ReLU": "initialise anew",
    "deep sigmoid network": "swap the activation",
    "deep network with small weights": "initialise anew",
    "deep network with large weights": "initialise anew",
    "recurrent weights too large": "initialise anew, clip gradients",
    "tanh by default where ReLU was meant": "swap the activation",
    "only the head optimised": "give the optimizer the missing parameters",
    "optimizer of another network": "give the optimizer the missing parameters",
    "gradients never zeroed": "zero gradients before each step",
    "eval() left on": "restore train()",
    "running statistics off": "estimate the batch-norm statistics anew",
    "rate too high": "lower the rate",
    "momentum too high": "lower the rate",
    "rate too low": "raise the rate",
    "one group's rate far off": "change the rate",
    "rate decays to nothing too early": "hold the rate",
    "rate jumps in the middle": "lower the rate, clip gradients",
    "weight decay far too strong": "lower the decay",
    "square root of zero in a penalty": "skip steps that are not finite",
}
"""By fault: what is expected to cure it."""

INCURABLE: Mapping[str, str] = {
    "inputs constant": "the rows do not say what differs",
    "targets constant": "the labels are lost",
    "targets missing": "the labels are lost",
    "classes out of balance": "the score counts rows as they are",
    "class absent from training": "the rows are not there",
    "validation rows in training": "it is the score that is wrong",
    "labels shuffled against the inputs": "the labels are lost",
    "few rows and a large network": "the rows are not there",
    "trained far too long": "which step was best is known only by a validation part",
    "squared error on classes": "it is another loss, for the author to choose",
    "sign of the loss flipped": "what was meant is not known",
    "softmax by hand overflows": "it is arithmetic inside the loss",
    "no nonlinearity between layers": "it is another network",
    "trunk detached": "the graph is cut inside the user's code",
    "features divided away inside": "it is arithmetic inside the network",
    "batch of one under batch norm": "the batches are the script's",
    "tiny batches under batch norm": "the batches are the script's",
    "rows sorted under batch norm": "the order is the script's",
    "stopped too early": "more steps are no repair at equal budget",
}
"""By fault: why nothing from outside can cure it."""
