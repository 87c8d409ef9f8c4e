"""A batch's outputs, loss and hits; at the first batch it says in plain words why a network cannot take it."""

from __future__ import annotations

import traceback
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.lab import _accuracy, _checkpoint, _inputs, _keep
from resnetbook.lab._criterion import Criterion, Loss

_TORCH = Path(torch.__file__).parent


class Measure:
    """Outputs, loss and sums, batch by batch, of one part.

    The first batch decides what accuracy means, and is where a wrong type of images or labels shows: then the model has
    its buffers back, and nothing was updated.

    Args:
        loss: function of (outputs, labels).
        model: the network as its author wrote it.
        name: of the part, for messages.
        part: images and labels.
        then: the measure of another part, which is looked at as well at this one's first batch.
    """

    def __init__(
        self, loss: Loss, model: nn.Module, name: str, part: Any, then: Measure | None = None
    ) -> None:
        self.criterion, self.model = Criterion(loss, model), model
        self.name, self.part, self.then = name, part, then
        self.judge: _accuracy.Judge | None = None
        self.ready = False

    def __call__(self, network: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor | None, Tensor]:
        """Return the main output (None where that is not known) and the loss; `network` may wrap the model."""
        if not self.ready:
            return self._first(network, x, y)
        outputs = network(x)
        return self.criterion.main(outputs), self.criterion(outputs, y)

    def sums(self, outputs: Tensor | None, y: Tensor, loss: Tensor) -> Tensor:
        """Return the batch's sums of loss, hits, places judged and images."""
        return _accuracy.sums(self.judge, outputs, y, loss)

    def _first(self, network: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor | None, Tensor]:
        with _keep.buffers_on_failure(self.model):
            outputs, main, loss = self._checked(network, x, y)
            parts = [self.part]
            if self.then is not None:
                if self.then._resembles(x, self.part.labels, outputs):
                    parts.append(self.then.part)
                    _inputs.check_labels(self.then.name, self.then.part.labels, self.criterion.kind, main)
                else:
                    self.then._rehearse(network, x)
            self.judge = _accuracy.judge_of(self.criterion.kind, main, *(part.labels for part in parts))
            if self.then is not None and not self.then.ready:
                self.then.judge, self.then.ready = self.judge, True
        self.ready = True
        return main, loss

    def _checked(self, network: nn.Module, x: Tensor, y: Tensor) -> tuple[Any, Tensor | None, Tensor]:
        kind = self.criterion.kind
        try:
            outputs = network(x)
        except RuntimeError as error:
            about_types = "type" in str(error) or isinstance(error, NotImplementedError)
            if about_types and (why := _inputs.wrong_dtype(self.name, x, self.model)):
                raise why from error
            raise
        main = self.criterion.main(outputs)
        _inputs.check_labels(self.name, self.part.labels, kind, main)
        try:
            with warnings.catch_warnings():
                # Labels (N,) and outputs (N, 1) would be spread to (N, N).
                warnings.filterwarnings("error", message="Using a target size")
                loss = self.criterion(outputs, y)
        except (RuntimeError, IndexError, TypeError, ValueError, UserWarning) as error:
            if _from_torch(error):
                raise _inputs.wrong_labels(self.name, y, kind, main, error) from error
            raise
        if not isinstance(loss, Tensor) or loss.ndim != 0:
            found = f"a tensor {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise ValueError(
                f"loss: {kind.name} returned {found}; expected one number, the mean over the batch"
            )
        if torch.is_grad_enabled() and not loss.requires_grad:
            raise ValueError(
                f"loss: {kind.name} does not depend on any weight of {type(self.model).__name__} that requires a gradient"
            )
        self._try_odd_label(outputs)
        return outputs, main, loss

    def _try_odd_label(self, outputs: Any) -> None:
        """Try a label outside of the classes on a loss that is not torch's: it may know what such a label means."""
        labels = self.part.labels
        scores = isinstance(outputs, Tensor) and outputs.ndim == labels.ndim + 1 and outputs.shape[1] > 1
        if self.criterion.kind.from_torch or not scores or labels.is_floating_point():
            return
        odd = ((labels < 0) | (labels >= outputs.shape[1])).flatten(1 if labels.ndim > 1 else 0)
        odd = (odd.any(1) if labels.ndim > 1 else odd).nonzero()
        if len(odd) == 0:
            return
        number = int(odd[0])
        try:  # on the CPU, where torch says it by an IndexError
            self.criterion.loss(outputs[:1].detach().cpu(), labels[number : number + 1].cpu())
        except IndexError as error:
            raise ValueError(
                f"{self.name}: labels from {int(labels.min())} to {int(labels.max())}; expected 0 to "
                f"{outputs.shape[1] - 1}, since the model has {outputs.shape[1]} outputs (torch: {error})"
            ) from error
        except RuntimeError:
            pass  # a loss with tensors on a GPU

    def _resembles(self, x: Tensor, labels: Tensor, outputs: Any) -> bool:
        """Return whether a network that took `x`, with one output, takes this part's images and labels too."""
        images, own = self.part.images, self.part.labels
        return (
            isinstance(outputs, Tensor)
            and (images.dtype, images.shape[1:]) == (x.dtype, x.shape[1:])
            and (own.dtype, own.shape[1:]) == (labels.dtype, labels.shape[1:])
        )

    def _rehearse(self, network: nn.Module, taken: Tensor) -> None:
        """Look at two images of this part as an evaluation will; the network took the images `taken`."""
        images, labels = self.part.images[:2].to(taken.device), self.part.labels[:2].to(taken.device)
        try:
            with _keep.modes(network), _checkpoint.own_randomness(0), torch.no_grad():
                network.eval()
                self._first(network, images, labels)
        except RuntimeError as error:
            if images.shape[1:] == taken.shape[1:]:
                raise
            raise ValueError(
                f"{self.name}: images {_inputs.form(images)}, on which {type(self.model).__name__} fails ({error}); "
                f"expected images {_inputs.form(taken)} as in the training"
            ) from error


def _from_torch(error: BaseException) -> bool:
    """Return whether torch's own code raised `error`, not somebody's loss."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return _TORCH in Path(last.filename).parents
