"""Hugging Face: a callback that watches ``Trainer.train``."""

from typing import TYPE_CHECKING, Any

from relume.integrations.session import Session, harmless
from relume.integrations.wanted import wanted

if TYPE_CHECKING:
    from relume.watching import Watch

_TrainerCallback: Any = wanted(__name__, "transformers").TrainerCallback


class WatchCallback(_TrainerCallback):  # type: ignore[misc]
    """Watches every ``train`` of a trainer: units, losses, weights, and what is logged.

    ``Trainer(..., callbacks=[WatchCallback(out="watched")])``. Run file and report are written when
    the training ends. Weights are those of a training without it, bitwise. The Trainer tells its
    callbacks nothing of an exception: then the watch ends with the cell of the notebook, with the
    next training, or with the program.

    Args:
        **settings: Those of ``relume.watch``: ``out``, ``budget``, ``every``, ``repair``, ...

    Raises:
        SettingsError: A setting is unknown or makes no sense.
    """

    def __init__(self, **settings: Any) -> None:
        self.session = Session("huggingface", settings)

    @property
    def watch(self) -> "Watch | None":
        """The watch of the present training, or of the last one: its ``folder``, its ``run``."""
        return self.session.watch

    @harmless
    def on_train_begin(
        self,
        args: Any,  # noqa: ARG002
        state: Any,  # noqa: ARG002
        control: Any,  # noqa: ARG002
        *,
        model: Any = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Begin."""
        self.session.begin(model)

    @harmless
    def on_log(
        self,
        args: Any,  # noqa: ARG002
        state: Any,  # noqa: ARG002
        control: Any,  # noqa: ARG002
        *,
        logs: Any = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Record what is logged: losses, rates, and what evaluations came to."""
        self.session.record(logs)

    @harmless
    def on_train_end(self, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """End."""
        self.session.end()
