"""Broken trainings rebuilt from public PyTorch threads, each beside the thread's own fix.

The list was fixed before the rules of the diagnosis were written, and nothing is tuned on it. Each
thread says what was wrong; that, and no more, is in ``true_codes``. The code is our own, with data
made offline in the shape and scale of the thread's.

``python -m benchmarks.clinic.programs`` runs them all, bare and watched, and says what was found.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from relume.diagnosis.codes import Code

FOLDER = Path(__file__).parent / "programs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A broken training, the thread that it is rebuilt from, and what that thread says.

    Args:
        name: Of its script.
        title: Of the thread.
        url: Of the thread.
        fault: What was wrong, by the thread.
        fix: What mended it there.
        true_codes: The codes that name the fault; where there are several, any is right.
        expected: Codes of what the fault brings about.
        remaining: Codes that stay right when it is fixed, as the fix leaves that fault.
        score: What the last line of the script says, on held-back rows.
        threshold: Broken runs score below it, fixed ones at or above it.
        seeds: Of the runs.
    """

    name: str
    title: str
    url: str
    fault: str
    fix: str
    true_codes: tuple[Code, ...]
    expected: tuple[Code, ...] = ()
    remaining: tuple[Code, ...] = ()
    score: str = "accuracy"
    threshold: float
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def script(self) -> Path:
        """Where the script is."""
        return FOLDER / f"{self.name}.py"

    def is_good(self, score: float) -> bool:
        """Whether a score is that of a training that learns; nan is not."""
        return not math.isnan(score) and score >= self.threshold


PROGRAMS = (
    Program(
        name="softmax_before_cross_entropy",
        title="Pytorch CrossEntropy function contains softmax",
        url="https://github.com/shaoxiongji/federated-learning/issues/9",
        fault="the perceptron ends in a softmax, and cross-entropy applies another",
        fix="the softmax is taken out",
        true_codes=(Code.SOFTMAX_TWICE,),
        expected=(Code.PLATEAU, Code.STILL_IMPROVING, Code.NOT_DECREASING),
        threshold=0.9,
    ),
    Program(
        name="sigmoid_before_logits_loss",
        title="Do not need sigmoid because there is sigmoid in BCEWithLogitsLoss",
        url="https://github.com/yudi-mars/daisyRec/pull/15",
        fault="a recommender's scores go through a sigmoid, and the loss applies another",
        fix="the loss is given the scores",
        true_codes=(Code.SIGMOID_TWICE,),
        expected=(Code.PLATEAU, Code.NOT_DECREASING, Code.CLASS_NEVER_PREDICTED),
        threshold=0.75,
    ),
    Program(
        name="raw_scores_into_nll",
        title="fix loss calculation for RNN",
        url="https://github.com/pytorch/examples/pull/732",
        fault="a language model's raw scores go into NLLLoss, whose loss falls below zero for ever",
        fix="log-softmax before the loss",
        true_codes=(Code.NLL_WITHOUT_LOG,),
        expected=(Code.DIVERGING, Code.SATURATED_UNITS),
        threshold=0.5,
    ),
    Program(
        name="relu_before_sigmoid",
        title="Output of the binary classification model",
        url="https://discuss.pytorch.org/t/output-of-the-binary-classification-model/56327",
        fault="ReLU on the last layer, then a sigmoid: no output is ever below one half",
        fix="no ReLU on the last layer",
        true_codes=(Code.BOUNDED_LOGITS, Code.RELU_ON_OUTPUT),
        expected=(Code.CLASS_NEVER_PREDICTED, Code.DEAD_LAYER, Code.DEAD_UNITS, Code.PLATEAU),
        threshold=0.8,
    ),
    Program(
        name="relu_on_regression_output",
        title="Do not use ReLU activation for the final regression layer",
        url="https://github.com/ProteomicsML/ProteomicsML/pull/203",
        fault="ReLU on the output of an LSTM regression: an unlucky start predicts 0 for ever",
        fix="no ReLU on the output",
        true_codes=(Code.RELU_ON_OUTPUT, Code.BOUNDED_REGRESSION),
        expected=(
            Code.DEAD_AT_START,
            Code.DEAD_LAYER,
            Code.DEAD_UNITS,
            Code.VANISHING_GRADIENT,
            Code.NOT_DECREASING,
        ),
        score="R²",
        threshold=0.5,
    ),
    Program(
        name="broadcast_targets",
        title="Bug: fail to throw error when computing loss between tensors with shapes "
        "[n, 1] and [n]",
        url="https://github.com/pytorch/pytorch/issues/16045",
        fault="predictions of shape (n, 1) against targets of shape (n,), silently broadcast",
        fix="the targets are reshaped to (n, 1)",
        true_codes=(Code.BROADCAST_LOSS,),
        expected=(Code.PLATEAU,),
        score="R²",
        threshold=0.9,
    ),
    Program(
        name="layers_in_a_list",
        title="Module: parameters are not included if the module is initialized in a list",
        url="https://github.com/pytorch/pytorch/issues/715",
        fault="hidden layers kept in a Python list are not in parameters(), so nothing trains them",
        fix="nn.ModuleList",
        true_codes=(Code.NOT_OPTIMISED,),
        threshold=0.8,
    ),
    Program(
        name="optimizer_before_replacement",
        title="The parameters are not updated when the pruned model is finetuned",
        url="https://github.com/microsoft/nni/issues/4521",
        fault="pruning replaces the layers, while the optimizer keeps the old ones' parameters",
        fix="a new optimizer after pruning",
        true_codes=(Code.NOT_OPTIMISED,),
        expected=(Code.PLATEAU, Code.NOT_DECREASING),
        threshold=0.8,
    ),
    Program(
        name="gradients_never_zeroed",
        title='Why there is no "optimizer.zero_grad()" in base_trainer.py?',
        url="https://github.com/yastrebksv/TennisCourtDetector/issues/7",
        fault="a heatmap detector is trained without zero_grad(), so gradients pile up",
        fix="zero_grad() before every backward()",
        true_codes=(Code.GRADIENTS_KEPT,),
        expected=(
            Code.OSCILLATING,
            Code.EXPLODING_GRADIENT,
            Code.DIVERGING,
            Code.PLATEAU,
            Code.UPDATE_RATIO,
            Code.DEAD_UNITS,
        ),
        score="share of points found",
        threshold=0.7,
    ),
    Program(
        name="eval_mode_left_on",
        title="validation by iteration causes model.training=False to continue until the end "
        "of an epoch",
        url="https://github.com/open-mmlab/mmaction2/issues/1781",
        fault="validation inside an epoch leaves eval() on for the rest of it",
        fix="train() after validation",
        true_codes=(Code.EVAL_WHILE_TRAINING,),
        expected=(Code.DIVERGING, Code.NOT_DECREASING, Code.PLATEAU, Code.NONFINITE_GRADIENT),
        threshold=0.8,
    ),
    Program(
        name="batch_norm_lags",
        title="[BUG] [v2]: training loss much lower than test and validation loss",
        url="https://github.com/chemprop/chemprop/issues/607",
        fault="running statistics of batch norm lag behind: eval mode is far worse than training",
        fix="track_running_stats=False: batch statistics in eval mode too",
        true_codes=(Code.TRAIN_EVAL_GAP,),
        expected=(Code.OVER_FITTING,),
        score="R²",
        threshold=0.7,
    ),
    Program(
        name="linear_xor",
        title="Unable to learn XOR representation using 2 layers of Multi-Layered Perceptron (MLP)",
        url="https://discuss.pytorch.org/t/unable-to-learn-xor-representation-using-2-layers-of-multi-layered-perceptron-mlp/13287/3",
        fault="no nonlinearity between two linear layers",
        fix="ReLU between them",
        true_codes=(Code.LINEAR_STACK,),
        expected=(Code.PLATEAU, Code.NOT_DECREASING),
        threshold=0.85,
    ),
    Program(
        name="cubes_unscaled",
        title="Neural network could not learn on this type of data, why?",
        url="https://discuss.pytorch.org/t/neural-network-could-not-learn-on-this-type-of-data-why/96648/5",
        fault="inputs up to 4000 and targets up to 6e10, neither scaled",
        fix="both are standardised",
        true_codes=(Code.UNSCALED_TARGET, Code.UNSCALED_INPUT),
        expected=(Code.FIRST_LOSS, Code.NOT_DECREASING, Code.RATE_TOO_LOW, Code.EXPLODING_GRADIENT),
        score="R²",
        threshold=0.9,
    ),
    Program(
        name="scheduler_every_batch",
        title="Learning rate scheduler is working incorrect",
        url="https://github.com/Lornatang/SRGAN-PyTorch/issues/1",
        fault="StepLR, meant for epochs, is stepped at every batch: the rate is soon zero",
        fix="the scheduler is stepped once an epoch",
        true_codes=(Code.RATE_TOO_LOW,),
        expected=(Code.PLATEAU, Code.UPDATE_RATIO, Code.NOT_DECREASING),
        score="R²",
        threshold=0.5,
    ),
    Program(
        name="relu_killed_by_rate",
        title="Cross Entropy loss is not decreasing",
        url="https://discuss.pytorch.org/t/cross-entropy-loss-is-not-decreasing/43814/16",
        fault="too high a rate with Adam drives ReLUs' weights negative: they die, loss is ln 10",
        fix="a smaller rate",
        true_codes=(
            Code.RATE_TOO_HIGH,
            Code.DEAD_UNITS,
            Code.DYING_UNITS,
            Code.DEAD_LAYER,
        ),
        expected=(
            Code.NOT_DECREASING,
            Code.PLATEAU,
            Code.VANISHING_GRADIENT,
            Code.UPDATE_RATIO,
            Code.CLASS_NEVER_PREDICTED,
        ),
        threshold=0.85,
    ),
    Program(
        name="missing_targets",
        title="silent bug, training with NaNs values",
        url="https://github.com/Nixtla/neuralforecast/issues/186",
        fault="missing values in the series: the loss is nan, and nothing says that it is the data",
        fix="windows with missing values are left out",
        true_codes=(Code.MISSING_TARGET, Code.NONFINITE_INPUT),
        expected=(Code.NONFINITE_GRADIENT, Code.DIVERGING),
        score="R²",
        threshold=0.5,
    ),
    Program(
        name="tiny_class_ignored",
        title="Class imbalance - Need to set class weights",
        url="https://github.com/qubvel-org/segmentation_models.pytorch/issues/480",
        fault="one class of a segmentation is a thousand times rarer and is never predicted",
        fix="cross-entropy with class weights",
        true_codes=(Code.IMBALANCE, Code.CLASS_NEVER_PREDICTED),
        remaining=(Code.IMBALANCE,),
        score="mean recall of the classes",
        threshold=0.8,
    ),
    Program(
        name="argmax_between_modules",
        title="Backprop through argmax",
        url="https://github.com/pytorch/pytorch/issues/1339",
        fault="an argmax between two modules: the first never receives a gradient",
        fix="the second is fed the softmax; the thread says only that argmax has no gradient",
        true_codes=(Code.NO_GRADIENT,),
        expected=(Code.PLATEAU,),
        threshold=0.85,
    ),
    Program(
        name="recurrent_relu_explodes",
        title="语言模型codebase出错",
        url="https://github.com/chenxie95/deeplearning_course_sjtu/issues/31",
        fault="a language model on nn.RNN with ReLU: states and gradients explode, the loss is nan",
        fix="a bounded activation",
        true_codes=(Code.RECURRENT_GROWTH, Code.EXPLODING_GRADIENT),
        expected=(
            Code.NONFINITE_GRADIENT,
            Code.DIVERGING,
            Code.RATE_TOO_HIGH,
            Code.UPDATE_RATIO,
            Code.OSCILLATING,
        ),
        threshold=0.6,
    ),
    Program(
        name="validation_overlaps_training",
        title="Dataset split incorrect in train_rig_approximation.py",
        url="https://github.com/electronicarts/rig-inversion/issues/2",
        fault="rows [:-100] train and rows [100:] validate: most are the same, over-fitting hides",
        fix="validation on rows of its own",
        true_codes=(Code.LEAKED_ROWS,),
        expected=(Code.MEMORISING, Code.OVER_FITTING, Code.OVER_TRAINING),
        remaining=(Code.OVER_FITTING, Code.OVER_TRAINING),
        score="R²",
        threshold=0.34,
    ),
)


if __name__ == "__main__":
    from benchmarks.clinic.program_runs import main

    main()
