"""The model learns in eval mode, or is scored in training mode.

What it detects
    Dropout or batch-norm modules that were in eval mode on at least half of the armed training
    steps (all such modules of the model, frozen ones left out); or evaluation losses computed in
    training mode by a model that has such modules.

Why it matters
    Learned in eval mode, dropout does nothing and batch norm keeps the statistics it has. Scored
    in training mode, the score depends on the batch and on chance, and batch norm learns from the
    validation rows.

What else it could be
    Fine-tuning with batch norm held fixed; Monte Carlo dropout.

Remedies, with safety
    ``model.train()`` at the start of every epoch, ``model.eval()`` before every evaluation
    (changes training).

Options
    ``SHARE``, ``FEWEST_STEPS``.

References:
    torch.nn.Module.train; Gal & Ghahramani, "Dropout as a Bayesian approximation", ICML 2016.
"""

from collections.abc import Iterator

from relume.diagnosis.codes import CURVE_SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.loss_reading import place_of
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import ModuleFacts

SHARE = 0.5
FEWEST_STEPS = 3

REMEDIES = (
    Advice("call model.train() at the start of every epoch", Safety.CHANGES_TRAINING),
    Advice("call model.eval() before every evaluation", Safety.CHANGES_TRAINING),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield a finding for learning in eval mode, and one for scoring in training mode."""
    if not reading.modules:
        yield NotJudged(Code.EVAL_WHILE_TRAINING, "no module was observed")
    minding = [module for module in reading.modules.values() if _minds(module)]
    if not minding:
        return
    steps = sum(module.eval_steps + module.training_steps for module in minding)
    resting = [m for m in minding if m.eval_steps > SHARE * (m.eval_steps + m.training_steps)]
    in_eval = sum(module.eval_steps for module in minding)
    if len(resting) == len(minding) and in_eval >= FEWEST_STEPS:
        yield _finding(
            resting[0].name,
            f"{len(resting)} dropout and batch-norm modules were in eval mode on "
            f"{in_eval / max(1, steps):.0%} of the armed training steps",
            {"modules": len(resting), "eval_steps": in_eval, "module_steps": steps},
        )
    for loss in reading.evaluation_losses:
        if loss.is_in_training_mode > SHARE and loss.calls >= FEWEST_STEPS:
            yield _finding(
                place_of(loss),
                f"{loss.is_in_training_mode:.0%} of {loss.calls} evaluation losses of "
                f"{place_of(loss)} were computed in training mode",
                {"share": loss.is_in_training_mode, "calls": loss.calls},
            )


def _finding(where: str, message: str, evidence: dict[str, float]) -> Finding:
    return Finding(
        code=Code.EVAL_WHILE_TRAINING,
        severity=Severity.WARNING,
        message=message,
        where=where,
        first_step=1,
        evidence=evidence,
        cause="train() or eval() is missing where the phase changes",
        strength=3.0,
        remedies=REMEDIES,
    )


def _minds(module: ModuleFacts) -> bool:
    """Whether a module that takes part does something else in eval mode."""
    if module.details.get("is_frozen") or module.order < 0:
        return False
    if "Dropout" in module.kind:
        return float(module.details.get("p", 0.5)) > 0
    return "BatchNorm" in module.kind


RULE = Rule(
    Code.EVAL_WHILE_TRAINING,
    "eval-while-training",
    __doc__ or "",
    check,
    explains=CURVE_SYMPTOMS | {Code.OVER_FITTING, Code.OVER_TRAINING, Code.TRAIN_EVAL_GAP},
)
