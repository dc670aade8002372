"""Keras on its torch backend: a callback that watches ``Model.fit``."""

from typing import TYPE_CHECKING, Any

from relume.errors import SettingsError
from relume.integrations.session import Session, harmless
from relume.integrations.wanted import wanted

if TYPE_CHECKING:
    from relume.watching import Watch

_WRONG_BACKEND = (
    "Keras is watched on torch, and its backend is {}; set KERAS_BACKEND=torch before keras is "
    "imported"
)
_OTHERS = frozenset({"tensorflow", "jax"})


def _imported() -> Any:
    try:
        return wanted(__name__, "keras")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _OTHERS:
            raise
        raise SettingsError(_WRONG_BACKEND.format(error.name)) from None


_keras: Any = _imported()


class WatchCallback(_keras.callbacks.Callback):  # type: ignore[misc]
    """Watches every ``fit`` of a model: units, losses, weights, and the scores of its epochs.

    ``model.fit(x, y, callbacks=[WatchCallback(out="watched")])``, with ``KERAS_BACKEND=torch``.
    Run file and report are written when the fit ends. Weights are those of a fit without it,
    bitwise. Keras tells its callbacks nothing of an exception: then the watch ends with the cell of
    the notebook, with the next fit, or with the program.

    Args:
        **settings: Those of ``relume.watch``: ``out``, ``budget``, ``every``, ...

    Raises:
        SettingsError: Keras has another backend, or a setting is unknown or makes no sense.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        backend = _keras.backend.backend()
        if backend != "torch":
            raise SettingsError(_WRONG_BACKEND.format(backend))
        self.session = Session("keras", settings)

    @property
    def watch(self) -> "Watch | None":
        """The watch of the present fit, or of the last one: its ``folder``, its ``run``."""
        return self.session.watch

    @harmless
    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Begin."""
        self.session.begin(self.model)

    @harmless
    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Record the scores of the epoch."""
        self.session.record(logs)

    @harmless
    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """End."""
        self.session.end()
