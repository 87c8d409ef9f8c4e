"""The unravelled view: a residual network as a sum over 2^L paths (Veit et al. 2016, arXiv:1605.06431).

For linear blocks x_{l+1} = (I + A_l) x_l the view is an identity,

    (I + A_L) ... (I + A_1) = sum over S of {1..L} of the product of the A_l, l in S (later blocks to the left),

and |S| is the path's length. For a network with ReLU it holds for the gradient: once the forward activations are fixed,
each block's backward pass is linear, J_l = P_l + B_l with P_l through the identity and B_l through the branch. Put t
before each B_l: the gradient becomes a polynomial in t whose coefficient of t^k is the exact contribution of all paths
through k branches. `gradient_by_path_length` carries that polynomial backwards, L (L + 1) / 2 small products instead of
2^L.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import combinations
from math import comb

import torch
from torch import Tensor, nn
from torch.nn import functional

from resnetbook.principle._lesion import check_names, lesion, lesion_study, replaced
from resnetbook.principle.signal import buffers_kept, named_blocks

__all__ = [
    "PathGradients",
    "expected_energies",
    "gradient_by_path_length",
    "lesion",
    "lesion_study",
    "path_sum",
    "product",
    "single_path_gradients",
]

Loss = Callable[[Tensor, Tensor], Tensor]


def product(matrices: Sequence[Tensor]) -> Tensor:
    """Return (I + A_L) ... (I + A_1) for matrices A_1 to A_L, each (n, n), the first applied first."""
    out = _eye(matrices)
    for matrix in matrices:
        out = out + matrix @ out
    return out


def path_sum(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Return the sum over all paths of length k, for k = 0 to L, by enumerating every one of the 2^L paths."""
    totals = []
    for length in range(len(matrices) + 1):
        total = torch.zeros_like(_eye(matrices))
        for chosen in combinations(range(len(matrices)), length):
            path = _eye(matrices)
            for block in chosen:
                path = matrices[block] @ path
            total = total + path
        totals.append(total)
    return totals


def expected_energies(gains: Sequence[float]) -> Tensor:
    """Return the expected squared norm of the gradient by path length, (L + 1,), for an arriving gradient of norm 1.

    Where branch l multiplies the mean square of a gradient by gains[l] and the branches' weights are independent with
    mean 0, two different paths are uncorrelated: squared norms add, and the answer is the coefficients of the product
    of (1 + t gains[l]). Gains of 1 give binomials, 2^L in all.

    Raises:
        ValueError: a negative gain.
    """
    if any(gain < 0 for gain in gains):
        raise ValueError(f"gains={list(gains)}: expected numbers of 0 or more")
    polynomial = torch.ones(1, dtype=torch.float64)
    for gain in gains:
        padded = functional.pad(polynomial, (0, 1))
        polynomial = padded + gain * padded.roll(1)
    return polynomial


@dataclass(frozen=True)
class PathGradients:
    """The gradient of the loss with respect to the network's input, by the number of branches passed through.

    Attributes:
        parts: (L + 1, *input shape); parts[k] is the sum over all paths of length k.
        total: the gradient that autograd gives, of the input's shape.
    """

    parts: Tensor
    total: Tensor

    @property
    def norms(self) -> Tensor:
        """Norm of each part, (L + 1,)."""
        return self.parts.flatten(1).norm(dim=1)

    @property
    def shares(self) -> Tensor:
        """Signed share of each length in the total, (L + 1,): <part, total> / |total|^2; they sum to 1."""
        return self.parts.flatten(1) @ self.total.flatten() / self.total.square().sum()

    @property
    def counts(self) -> list[int]:
        """Number of paths of each length: the binomial coefficients of L."""
        blocks = len(self.parts) - 1
        return [comb(blocks, k) for k in range(blocks + 1)]


def gradient_by_path_length(
    net: nn.Module, x: Tensor, y: Tensor, *, loss: Loss = functional.cross_entropy
) -> PathGradients:
    """Split the gradient of loss(net(x), y) with respect to x by path length, exactly.

    Args:
        net: a network with `.blocks`, whose blocks have `branch` and `identity` and add the two (BasicBlock,
            Bottleneck, VectorBlock), run one after another. It is used in its own mode; buffers are put back.
        x: a batch, (N, ...), of floating point.
        y: what the loss takes beside net(x).

    Raises:
        ValueError: a plain block (it has no identity path), or blocks that do not follow each other.
    """
    with _trace(net, x, y, loss) as trace:
        polynomial = [trace.top]
        for gate in reversed(trace.gates):
            pulled = [gate.pull(part) for part in polynomial]
            # new_k = P^T g_k + B^T g_{k-1}: multiplication of the polynomial by P + t B.
            through = [identity for identity, _ in pulled] + [torch.zeros_like(pulled[0][1])]
            taken = [torch.zeros_like(pulled[0][0])] + [branch for _, branch in pulled]
            polynomial = [a + b for a, b in zip(through, taken, strict=True)]
        return PathGradients(torch.stack([trace.to_input(part) for part in polynomial]), trace.total)


def single_path_gradients(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    paths: Iterable[Iterable[str]],
    *,
    loss: Loss = functional.cross_entropy,
) -> Tensor:
    """Return the gradient through single paths, (number of paths, *x.shape).

    A path is the set of blocks (by name) that it passes through the branch of; it takes the identity everywhere else.
    This is Veit et al.'s measurement (section 4.2): they sample such paths and record the size of what arrives.

    Raises:
        ValueError: as `gradient_by_path_length`, or an unknown block's name.
    """
    wanted = [frozenset(path) for path in paths]
    with _trace(net, x, y, loss) as trace:
        for path in wanted:
            check_names(path, [gate.name for gate in trace.gates])
        arrived = []
        for path in wanted:
            part = trace.top
            for gate in reversed(trace.gates):
                part = gate.pull(part)[gate.name in path]
            arrived.append(trace.to_input(part))
        return torch.stack(arrived)


@dataclass(frozen=True)
class _Gate:
    """One block of one forward pass: its output and the two copies of its input."""

    name: str
    identity_in: Tensor
    branch_in: Tensor
    out: Tensor

    def pull(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Carry a gradient from the block's output to its input: (through the identity, through the branch)."""
        parts = torch.autograd.grad(
            self.out, (self.identity_in, self.branch_in), gradient, retain_graph=True, materialize_grads=True
        )
        return parts[0], parts[1]


@dataclass(frozen=True)
class _Trace:
    gates: list[_Gate]
    top: Tensor
    total: Tensor
    first: Tensor
    x: Tensor

    def to_input(self, gradient: Tensor) -> Tensor:
        """Carry a gradient from the first block's input to the network's input."""
        if self.first is self.x:
            return gradient
        return torch.autograd.grad(self.first, self.x, gradient, retain_graph=True)[0]


@contextmanager
def _trace(net: nn.Module, x: Tensor, y: Tensor, loss: Loss) -> Iterator[_Trace]:
    blocks = named_blocks(net)
    for name, block in blocks:
        if not (callable(getattr(block, "branch", None)) and callable(getattr(block, "identity", None))):
            raise ValueError(
                f"net: block {name!r} is a {type(block).__name__}: expected one with branch and identity"
            )
        if not getattr(block, "residual", True):
            raise ValueError(
                f"net: block {name!r} is plain: a network without identity paths has one path only"
            )
    inputs: dict[str, dict[str, Tensor]] = {name: {} for name, _ in blocks}
    outputs: dict[str, Tensor] = {}

    def split(name: str, part: str, function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        # The view makes the two roads leave from two tensors, so that autograd can tell them apart.
        def run(z: Tensor) -> Tensor:
            inputs[name]["whole"] = z
            inputs[name][part] = z.view_as(z)
            return function(inputs[name][part])

        return run

    with ExitStack() as stack, torch.enable_grad(), buffers_kept(net):
        for name, block in blocks:
            for part in ("branch", "identity"):
                stack.enter_context(replaced(block, part, split(name, part, getattr(block, part))))
            handle = block.register_forward_hook(lambda m, i, out, name=name: outputs.update({name: out}))
            stack.callback(handle.remove)
        source = x.detach().clone().requires_grad_()
        value = loss(net(source), y)
        gates = [
            _Gate(name, inputs[name]["identity"], inputs[name]["branch"], outputs[name]) for name, _ in blocks
        ]
        wholes = [inputs[name]["whole"] for name, _ in blocks]
        for before, after in zip(gates, wholes[1:], strict=False):
            if before.out is not after:
                raise ValueError(
                    f"net: block {before.name!r} does not feed the next block: expected a chain of blocks"
                )
        top, total = torch.autograd.grad(value, (gates[-1].out, source), retain_graph=True)
        yield _Trace(gates, top, total, wholes[0], source)


def _eye(matrices: Sequence[Tensor]) -> Tensor:
    if not matrices or any(
        m.shape != matrices[0].shape or m.dim() != 2 or m.shape[0] != m.shape[1] for m in matrices
    ):
        raise ValueError(
            f"matrices has shapes {[tuple(m.shape) for m in matrices]}: expected one or more of one (n, n)"
        )
    return torch.eye(len(matrices[0]), dtype=matrices[0].dtype)
