"""Estimate the running statistics of batch norms anew; no weight is touched.

What it does
    Lets batches of the training through the network while every batch norm normalises by the batch,
    and sets running means and variances to the moments over all their rows together.

When it helps
    Where evaluation is far worse than training because running statistics do not describe the data:
    a momentum too small, an outlier batch, weights that were averaged or moved since.

Safety
    Safe: what is trained and how stays; the buffers that only evaluation reads change.

Numbers of a plan
    None.

References:
    Wu, Johnson, "Rethinking 'Batch' in BatchNorm", arXiv:2105.07576, section 3.2.
"""

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety
from relume.errors import SettingsError
from relume.remedies.action import Action
from relume.remedies.circuit import BATCH_NORMS
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan
from relume.remedies.running_statistics import estimate_


def plan(finding: Finding, patient: Patient) -> Plan | None:
    """Return an estimation, where there are batch norms and inputs."""
    if patient.batches is None and patient.sample is None:
        return None
    norms = [each for each in patient.model.modules() if isinstance(each, BATCH_NORMS)]
    if not any(each.running_mean is not None for each in norms):
        return None
    return Plan("reestimate_batch_norm", finding.where)


def apply(plan: Plan, patient: Patient) -> None:  # noqa: ARG001
    """Estimate.

    Raises:
        SettingsError: There are no inputs.
        DataError: They are not finite.
    """
    batches = patient.batches
    if batches is None:
        if patient.sample is None:
            raise SettingsError("batch norms are estimated from inputs; there are none")
        batches = [patient.sample]
    estimate_(patient.model, batches)


def describe(plan: Plan) -> str:  # noqa: ARG001
    """Return what the plan does."""
    return "estimate the running statistics of batch norms anew"


ACTION = Action(
    name="reestimate_batch_norm",
    page=__doc__ or "",
    safety=Safety.SAFE,
    answers=frozenset({Code.TRAIN_EVAL_GAP, Code.CHANNEL_DRIFT, Code.TINY_BATCHES}),
    plan=plan,
    apply=apply,
    describe=describe,
)
