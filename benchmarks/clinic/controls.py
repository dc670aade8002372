"""Healthy trainings that look like sick ones: each must reach its score, or it is dropped."""

from dataclasses import dataclass

from benchmarks.clinic.recipe import Change

_SUPERVISED = ("classes", "binary", "amounts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A healthy way to train that a hasty rule would blame.

    Args:
        name: In words, short.
        change: What is done.
        needs: Tags that a scenario must all have; several sets are alternatives.
        share: Of the good score of its scenario that it must reach.
    """

    name: str
    change: Change
    needs: tuple[str, ...] = _SUPERVISED
    share: float = 0.97

    def fits(self, tags: frozenset[str]) -> bool:
        """Return whether it can be trained in a scenario with these tags."""
        return any(set(each.split()) <= tags for each in self.needs)


def _control(
    name: str, change: Change, needs: tuple[str, ...] = _SUPERVISED, share: float = 0.97
) -> Control:
    return Control(name=name, change=change, needs=needs, share=share)


_MLP = ("classes mlp relu", "binary mlp relu", "amounts mlp relu")

CONTROLS = (
    _control("sparse by nature", Change(weights=(("bias of all", -0.3),), options={"width": 256}),
             _MLP),
    _control("sparse inputs", Change(data=(("sparse inputs", 0.8),)), ("classes table relu",
             "classes mlp"), 0.8),
    _control("L1 on the activations", Change(habits=("L1 of activations",)), _MLP, 0.95),
    _control("L1 on the weights", Change(habits=("L1 of weights",)), _MLP, 0.95),
    _control("small rate by choice", Change(rate_times=0.2, epochs_times=3), _MLP, 0.95),
    _control("deep and narrow", Change(options={"depth": 6, "width": 16}, weights=(("he", 1.0),),
             epochs_times=1.5), _MLP, 0.93),
    _control("imbalance learned well", Change(data=(("imbalance", 6.0),), epochs_times=2),
             ("classes mlp", "classes smooth", "binary mlp"), 0.9),
    _control("label noise", Change(data=(("label noise", 0.1),), epochs_times=0.8),
             ("classes mlp", "classes smooth", "binary mlp", "classes norm"), 0.92),
    _control("GELU", Change(options={"activation": "gelu"}), _MLP),
    _control("leaky ReLU", Change(options={"activation": "leaky"}), _MLP),
    _control("ELU", Change(options={"activation": "elu"}), _MLP),
    _control("frozen backbone", Change(habits=("trunk frozen",), options={"width": 256},
             rate_times=2), ("classes mlp relu", "classes images"), 0.85),
    _control("plateau that ends", Change(optimizer="sgd", momentum=0.9, rate_times=4,
             weights=(("all times", 0.3),), epochs_times=2), _MLP, 0.9),
    _control("raw counts", Change(data=(("raw", 1.0),), epochs_times=1.5),
             ("classes mlp table", "classes images"), 0.95),
    _control("inputs between 0 and 1", Change(data=(("unit inputs", 1.0),), epochs_times=1.5),
             ("classes mlp", "binary mlp", "classes images"), 0.93),
    _control("much dropout", Change(options={"dropout": 0.5}, epochs_times=1.5),
             ("classes dropout", "binary dropout"), 0.93),
    _control("layer norm", Change(options={"norm": "layer"}), ("classes mlp norm",
             "amounts mlp norm")),
    _control("cosine rate", Change(schedule="cosine", rate_times=1.5)),
    _control("one-cycle rate", Change(schedule="one cycle", rate_times=2)),
    _control("warm-up", Change(schedule="warm up")),
    _control("accumulated gradients", Change(habits=("accumulated",), rate_times=2,
             epochs_times=2), share=0.95),
    _control("small data, learned to zero loss", Change(data=(("few rows", 0.3),),
             epochs_times=4), ("classes mlp relu", "classes smooth", "classes images"), 0.93),
    _control("AdamW with decay", Change(optimizer="adamw", weight_decay=0.01)),
    _control("RMSprop", Change(optimizer="rmsprop", rate_times=0.5)),
    _control("plain SGD", Change(optimizer="sgd", momentum=0.0, rate_times=30, epochs_times=2),
             ("classes mlp relu", "classes norm", "binary mlp relu"), 0.93),
    _control("large batches", Change(batch=200, rate_times=2, epochs_times=3), share=0.95),
    _control("small batches", Change(batch=8, rate_times=0.5, epochs_times=0.4), share=0.93),
    _control("clipped gradients", Change(habits=("clipped",))),
    _control("head at zero", Change(weights=(("head times", 0.0),)), ("classes head",
             "binary head", "amounts head")),
    _control("log-softmax, then NLL", Change(options={"head": "log_softmax"}, loss="nll"),
             ("classes head",)),
    _control("log-softmax twice", Change(options={"head": "log_softmax"}), ("classes head",)),
    _control("softmax, then its log", Change(options={"head": "softmax"}, loss="log of the output"),
             ("classes head",)),
    _control("sigmoid, then BCE", Change(options={"head": "sigmoid"}, loss="probabilities"),
             ("binary head",)),
    _control("smoothed labels", Change(loss="smoothed"), ("classes",)),
    _control("weighted classes", Change(loss="weighted", data=(("imbalance", 4.0),),
             epochs_times=2), ("classes mlp", "classes smooth"), 0.9),
    _control("Huber loss", Change(loss="huber"), ("amounts",)),
    _control("positive targets, ReLU out", Change(data=(("positive targets", 1.0),),
             options={"head": "softplus"}), ("amounts head",), 0.95),
    _control("targets between 0 and 1", Change(data=(("unit targets", 1.0),),
             options={"head": "sigmoid"}), ("amounts mlp",), 0.9),
    _control("targets as they come", Change(data=(("scale targets", 4.0),), epochs_times=1.5),
             ("amounts mlp",), 0.93),
    _control("repeated rows", Change(data=(("repeat", 1.0),)), ("classes mlp", "binary mlp",
             "classes images")),
    _control("few values", Change(data=(("rounded", 0.25),)), ("classes mlp", "binary mlp"), 0.9),
    _control("unused features", Change(data=(("constant inputs", 0.1),)), ("classes mlp table",
             "classes images"), 0.93),
    _control("batch norm kept in eval", Change(habits=("norms frozen late",)), ("classes norm",
             "amounts norm"), 0.95),
    _control("head at ten times the rate", Change(habits=("head at 10 times",), rate_times=0.7),
             ("classes mlp", "binary mlp", "amounts mlp"), 0.95),
    _control("PReLU without decay", Change(habits=("slopes without decay",), optimizer="adamw",
             weight_decay=0.05), ("classes prelu", "amounts prelu")),
)  # fmt: skip
