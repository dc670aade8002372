"""Lightning: a callback that watches ``Trainer.fit``.

Both ``lightning.pytorch`` and ``pytorch_lightning`` are served: the one that is in use already,
else the one that is installed.
"""

from typing import TYPE_CHECKING, Any

from relume.integrations.session import Session, ending_of, harmless
from relume.integrations.wanted import wanted

if TYPE_CHECKING:
    from relume.watching import Watch

_Callback: Any = wanted(__name__, "lightning.pytorch", "pytorch_lightning").Callback


class WatchCallback(_Callback):  # type: ignore[misc]
    """Watches every ``fit`` of a trainer: units, losses, weights, and what is logged.

    ``Trainer(callbacks=[WatchCallback(out="watched")])``. Run file and report are written when the
    fit ends, fails or is interrupted. Weights are those of a fit without it, bitwise. Scores that
    the module logs are recorded at validation, at the end of epochs and every
    ``log_every_n_steps``.

    Args:
        **settings: Those of ``relume.watch``: ``out``, ``budget``, ``every``, ``repair``, ...

    Raises:
        SettingsError: A setting is unknown or makes no sense.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.session = Session("lightning", settings, is_told_of_errors=True)
        self._noted: dict[str, Any] = {}

    @property
    def watch(self) -> "Watch | None":
        """The watch of the present fit, or of the last one: its ``folder``, its ``run``."""
        return self.session.watch

    @harmless
    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:  # noqa: ARG002
        """Begin, before a fit."""
        if stage == "fit":
            self._noted.clear()
            self.session.begin(pl_module)

    @harmless
    def on_train_batch_end(self, trainer: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Record what was logged, as often as Lightning's loggers do."""
        if trainer.global_step % max(1, trainer.log_every_n_steps) == 0:
            self._note(trainer)

    @harmless
    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Record what was logged in the epoch."""
        self._note(trainer)

    @harmless
    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Record what was logged in the validation."""
        if not trainer.sanity_checking:
            self._note(trainer)

    @harmless
    def on_train_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Record what was logged last."""
        self._note(trainer)

    @harmless
    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """End."""
        self.session.end()

    @harmless
    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:  # noqa: ARG002
        """End, however the fit failed."""
        self.session.end(ending_of(exception))

    def _note(self, trainer: Any) -> None:
        """Record the values that were logged since the last time: those that are new objects."""
        if not self.session.is_open:
            return
        logged = dict(trainer.callback_metrics)
        new = {name: v for name, v in logged.items() if self._noted.get(name) is not v}
        self._noted = logged
        self.session.record(new)
