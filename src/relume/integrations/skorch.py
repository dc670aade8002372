"""skorch: a callback that watches ``NeuralNet.fit``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from relume.integrations.session import Session, harmless
from relume.integrations.wanted import wanted

if TYPE_CHECKING:
    from relume.watching import Watch

_Callback: Any = wanted(__name__, "skorch.callbacks").Callback
_NO_SCORES = frozenset({"epoch", "dur", "batches", "train_batch_count", "valid_batch_count"})


class WatchCallback(_Callback):  # type: ignore[misc]
    """Watches every fit of a net: units, losses, weights, and the history of its epochs.

    ``NeuralNetClassifier(..., callbacks=[("watch", WatchCallback())])``; its parameters can be set
    as those of other callbacks, ``net.set_params(callbacks__watch__every=5)``. Weights are those of
    a fit without it, bitwise. skorch tells its callbacks nothing of an exception: then the watch
    ends with the cell of the notebook, with the next fit, or with the program.

    Args:
        out: Folder for run file and report; None makes a new one for every fit.
        budget: Share of the training's time that watching may take.
        every: Measures every so many steps instead of keeping to the budget.
        repair: Whether what goes wrong is repaired.
        allow: How far a repair may go: ``safe``, ``training`` or ``model``.
        report: Whether the page is made at the end.
        quiet: Whether nothing is said.

    Attributes:
        watch: The watch of the present fit, or of the last one: its ``folder``, its ``run``.
    """

    def __init__(
        self,
        *,
        out: Path | str | None = None,
        budget: float = 0.01,
        every: int | None = None,
        repair: bool = False,
        allow: str = "training",
        report: bool = True,
        quiet: bool = False,
    ) -> None:
        self.out = out
        self.budget = budget
        self.every = every
        self.repair = repair
        self.allow = allow
        self.report = report
        self.quiet = quiet

    def initialize(self) -> Self:
        """Take up the parameters.

        Raises:
            SettingsError: One makes no sense.
        """
        names = ("out", "budget", "every", "repair", "allow", "report", "quiet")
        self.session_ = Session("skorch", {name: getattr(self, name) for name in names})
        return self

    @property
    def session(self) -> Session:
        """What is held while a fit goes on."""
        if not hasattr(self, "session_"):
            self.initialize()
        return self.session_

    @property
    def watch(self) -> "Watch | None":
        """The watch of the present fit, or of the last one."""
        return self.session.watch

    @harmless
    def on_train_begin(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Begin."""
        self.session.begin(getattr(net, "module_", None))

    @harmless
    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Record the row of the history."""
        row = net.history[-1]
        self.session.record({name: row[name] for name in row if name not in _NO_SCORES})

    @harmless
    def on_train_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """End; skorch comes here after Ctrl-C too, in the midst of an epoch."""
        is_whole = bool(net.history) and "dur" in net.history[-1]
        self.session.end("finished" if is_whole else "interrupted")
