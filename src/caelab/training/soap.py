"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner, for networks small enough that curvature is cheap.

    gradient G (m, n) ──► covariances  L ← E[G Gᵀ],  R ← E[Gᵀ G]
                          eigenbases   P of L,  Q of R      (refreshed every few steps by one power iteration and a QR)
                          Adam on      PᵀGQ                 update  = P · Adam · Qᵀ

Source: Vyas et al., *SOAP: Improving and Stabilizing Shampoo using Adam*, 2024 (arXiv 2409.11321), algorithm 3.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, overload

import torch
from torch import Tensor

State = dict[str, Any]


class SOAP(torch.optim.Optimizer):
    """Adam run in the slowly turning eigenbasis of every parameter's gradient covariance.

    A parameter of shape (m, ...) is treated as a matrix (m, n): a convolution's rows are its output channels, its
    columns the (row, column, input channel) of the kernel. Where those are more than ``max_dimension``, it is a tensor
    of three sides, (output channel, place in the kernel, input channel), each with a basis of its own: so they lie in
    memory where channels are last, and all large products are of matrices. A vector is a matrix (m, 1). A side of
    length 1, or longer than ``max_dimension``, keeps the identity as its basis; with all sides so, SOAP is exactly
    Adam.

    All that a step depends on is in ``state_dict()`` as tensors, integers and lists of them: an optimizer restored from
    it continues bit for bit, and the file loads with ``torch.load(..., weights_only=True)``.

    Cost a step of a matrix: four products with the bases and two covariance updates, O(mn(m + n)) a parameter; a
    refresh adds O(m³ + n³). Memory: 2(m² + n²) + 2mn numbers a parameter.

    Args:
        params: Parameters or parameter groups, as for every ``torch.optim`` optimizer.
        lr: Step size; an update's entries are of about this size in the eigenbasis, as with Adam.
        betas: Decay of the first and second moments, each in [0, 1).
        covariance_beta: Decay of the two covariances, in [0, 1).
        eps: Added to the root of the second moment.
        weight_decay: Decoupled decay (AdamW's), multiplied by ``lr``.
        refresh_every: Steps between refreshes of the bases, at least 1.
        max_dimension: The longest side that gets a basis of its own.

    Raises:
        ValueError: An argument is out of its range.

    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float = 1e-2,
        betas: tuple[float, float] = (0.95, 0.95),
        covariance_beta: float = 0.95,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        refresh_every: int = 10,
        max_dimension: int = 640,
    ) -> None:
        if not lr >= 0 or not eps > 0 or not weight_decay >= 0:
            raise ValueError(f"lr and weight_decay must be >= 0 and eps > 0, not {lr}, {weight_decay}, {eps}")
        if not all(0 <= beta < 1 for beta in (*betas, covariance_beta)):
            raise ValueError(f"every beta must be in [0, 1), not {betas}, {covariance_beta}")
        if refresh_every < 1:
            raise ValueError(f"refresh_every must be at least 1, not {refresh_every}")
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "covariance_beta": covariance_beta,
                "eps": eps,
                "weight_decay": weight_decay,
                "refresh_every": refresh_every,
                "max_dimension": max_dimension,
            },
        )
        self._pool: ThreadPoolExecutor | None = None
        self._pool_size = 0

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient; returns the closure's loss when one is given.

        On a CPU the parameters are shared out among as many threads as PyTorch has, each of which works alone.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        updates = [
            (parameter, parameter.grad, self.state[parameter], group)
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        workers = torch.get_num_threads()
        if workers == 1 or any(parameter.device.type != "cpu" for parameter, *_ in updates):
            for update in updates:
                _update(*update)
        else:
            updates.sort(key=lambda update: -update[0].numel())  # the longest first, so that all end together
            list(self._threads(workers).map(lambda update: _update(*update), updates))
        return loss

    def _threads(self, workers: int) -> ThreadPoolExecutor:
        if self._pool is None or self._pool_size != workers:
            self._pool = ThreadPoolExecutor(workers, "soap", initializer=torch.set_num_threads, initargs=(1,))
            self._pool_size = workers
        return self._pool


@torch.no_grad()
def _update(parameter: Tensor, gradient: Tensor, state: State, group: dict[str, Any]) -> None:
    """One step of one parameter, in place."""
    gradient = _with_sides(gradient, group["max_dimension"])
    if not state:
        _start(state, gradient, group["max_dimension"])
    state["step"] += 1
    step = state["step"]
    first_beta, second_beta = group["betas"]

    # The covariances are averages from the first step on, so that the first basis is already the gradient's own.
    keep = min(group["covariance_beta"], 1 - 1 / step)
    for axis, covariance in enumerate(state["covariances"]):
        if covariance is not None:
            rows = gradient.flatten(0, -2).T if axis == gradient.ndim - 1 else gradient.movedim(axis, 0).flatten(1)
            covariance.addmm_(rows, rows.T, beta=keep, alpha=1 - keep)
    if step % group["refresh_every"] == 1 or group["refresh_every"] == 1:
        _refresh(state)

    turned = _turn(gradient, state["bases"])
    state["mean"].lerp_(turned, 1 - first_beta)
    state["mean_square"].lerp_(turned.square_(), 1 - second_beta)
    root = (state["mean_square"] / (1 - second_beta**step)).sqrt_().add_(group["eps"])
    update = _turn_back(state["mean"] / root, state["bases"])
    if group["weight_decay"]:
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
    if parameter.ndim > 2:
        update = update.view(parameter.movedim(1, -1).shape).movedim(-1, 1)
    parameter.add_(update.view_as(parameter), alpha=-group["lr"] / (1 - first_beta**step))


def _with_sides(gradient: Tensor, max_dimension: int) -> Tensor:
    """Return the gradient as a matrix or a tensor of three sides; without a copy where it has its channels last."""
    if gradient.ndim <= 1:
        return gradient.reshape(-1, 1)
    if gradient.ndim == 2:
        return gradient
    gradient = gradient.movedim(1, -1)
    if gradient[0].numel() > max_dimension:
        return gradient.reshape(len(gradient), -1, gradient.shape[-1])
    return gradient.reshape(len(gradient), -1)


def _start(state: State, gradient: Tensor, max_dimension: int) -> None:
    """Zero moments and covariances, identity bases; None for a side that keeps the identity."""
    sides = [side if 1 < side <= max_dimension else None for side in gradient.shape]
    state["step"] = 0
    state["mean"] = gradient.new_zeros(gradient.shape)
    state["mean_square"] = gradient.new_zeros(gradient.shape)
    state["covariances"] = [None if side is None else gradient.new_zeros(side, side) for side in sides]
    state["bases"] = [None if side is None else torch.eye(side).to(gradient) for side in sides]


def _refresh(state: State) -> None:
    """One power iteration and QR for each basis, its columns ordered by their variance, largest first."""
    mean = _turn_back(state["mean"], state["bases"])
    for side, (covariance, basis) in enumerate(zip(state["covariances"], state["bases"], strict=True)):
        if covariance is None:
            continue
        image = covariance @ basis
        order = (basis * image).sum(dim=0).argsort(descending=True, stable=True)
        state["mean_square"] = state["mean_square"].index_select(side, order)
        state["bases"][side] = torch.linalg.qr(image[:, order])[0]
    state["mean"] = _turn(mean, state["bases"])


def _turn(tensor: Tensor, bases: Sequence[Tensor | None]) -> Tensor:
    """Multiply each side by its basis, transposed, as a new tensor; None stands for the identity."""
    first, *middle, last = bases
    turned = tensor
    if first is not None:
        turned = (first.T @ turned.flatten(1)).view(tensor.shape)
    if middle and middle[0] is not None:
        turned = middle[0].T @ turned
    if last is not None:
        turned = (turned.flatten(0, -2) @ last).view(tensor.shape)
    return turned.clone() if turned is tensor else turned


def _turn_back(tensor: Tensor, bases: Sequence[Tensor | None]) -> Tensor:
    """Undo :func:`_turn`."""
    return _turn(tensor, [None if basis is None else basis.T for basis in bases])
