"""Units that fall silent in an armed step: their certificates, while the evidence is there."""

from collections.abc import Sequence

from relume.observe.deaths import EXCESS, MOVED, Certificates, Move, all_sources
from relume.observe.flows import Flows
from relume.observe.tally import Tally
from relume.runs.records import Counts


def note_falls(
    tallies: Sequence[Tally], step: int, last_armed: int, flows: Flows, certificates: Certificates
) -> None:
    """Bring the lifetimes up to an armed step, and certify the units that fell silent in it.

    Args:
        tallies: The sites.
        step: The armed step.
        last_armed: The armed step before it.
        flows: What is known of the weights.
        certificates: Where they are written.
    """

    def move(tally: Tally, fell: Counts) -> Move:
        return Move(
            flows.row_changes(tally, fell),
            flows.usual_update(tally),
            lambda: max(map(flows.change, all_sources(tally)), default=0.0),
            lambda: flows.have_all_moved(tallies, MOVED, EXCESS * (step - last_armed)),
        )

    for tally in tallies:
        fell = tally.end_step(step)
        if fell is not None:
            certificates.note(tally, fell, move(tally, fell), step)
