"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner.

    gradient G (m, n) ──► covariances  L ← E[G Gᵀ],  R ← E[Gᵀ G]
                          eigenbases   P of L,  Q of R      (refreshed every few steps: a power
                                                             iteration and a QR)
                          Adam on      PᵀGQ                 update  = P · Adam · Qᵀ

Source: Vyas et al., *SOAP: Improving and Stabilizing Shampoo using Adam*, 2024 (arXiv 2409.11321),
algorithm 3. It suits networks that are small enough for their curvature to be cheap.
"""

import inspect
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from caelab.device import run_shares
from caelab.kernels.soap import Hyperparameters, SmallMatrix, small_matrix

WITHOUT_QR = ("mps",)
"""Types of devices on which PyTorch has no QR decomposition, or one that hangs."""

State = dict[str, Any]
Update = tuple[Tensor, Tensor, State]
"""A parameter, its gradient, and its state."""


class SOAP(torch.optim.Optimizer):
    """Adam in the slowly changing eigenbasis of every parameter's gradient covariance.

    A parameter of shape (m, ...) is treated as a matrix (m, n): a convolution's rows are its output
    channels, its columns the (row, column, input channel) of the kernel. If there are more columns
    than ``max_dimension``, it is a tensor of three sides, (output channel, position in the kernel,
    input channel), each with its own basis. In memory, weights with channels last have this order.
    A vector is a matrix (m, 1). A side of length 1, or longer than ``max_dimension``, keeps the
    identity as its basis; if all sides do, SOAP is exactly Adam.

    Everything that a step depends on is in ``state_dict()`` as tensors, integers and lists of them:
    an optimizer that is restored from it continues with the same bits, and the file loads with
    ``torch.load(..., weights_only=True)``.

    A step of a matrix costs four products with the bases and two updates of covariances,
    O(mn(m + n)); a refresh adds O(m³ + n³). The state has 2(m² + n²) + 2mn numbers.

    >>> weight = torch.nn.Parameter(torch.ones(2, 3))
    >>> optimizer = SOAP([weight], lr=0.05)
    >>> for _ in range(60):
    ...     optimizer.zero_grad()
    ...     weight.square().sum().backward()
    ...     optimizer.step()
    >>> bool(weight.abs().max() < 0.2)
    True

    Args:
        params: Parameters or parameter groups, as for every ``torch.optim`` optimizer.
        lr: Step size; an update's entries are of about this size in the eigenbasis, as with Adam.
        betas: Decay of the first and second moments, each in [0, 1).
        covariance_beta: Decay of the two covariances, in [0, 1).
        eps: Added to the root of the second moment.
        weight_decay: Decoupled decay (AdamW's), multiplied by ``lr``.
        refresh_every: Steps between refreshes of the bases, at least 1.
        max_dimension: The longest side that gets its own basis.

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
        options = {
            "lr": lr,
            "betas": betas,
            "covariance_beta": covariance_beta,
            "eps": eps,
            "weight_decay": weight_decay,
            "refresh_every": refresh_every,
            "max_dimension": max_dimension,
        }
        if (
            min(lr, weight_decay) < 0
            or eps <= 0
            or refresh_every < 1
            or not all(0 <= beta < 1 for beta in (*betas, covariance_beta))
        ):
            raise ValueError(
                "lr and weight_decay must be >= 0, eps > 0, refresh_every >= 1, and every beta"
                f" in [0, 1), not {options}"
            )
        super().__init__(params, options)

    @cached_property
    def _small(self) -> dict[Tensor, SmallMatrix]:
        # A copied or unpickled optimizer begins without them, because they hold addresses.
        return {}

    # PyTorch wraps these methods for torch.compile, and imports its compiler for that, which takes
    # more than a second before the first step. Unwrapped, they do without it.
    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)

    def step(self) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient.

        On a CPU, the parameters of a group are divided among as many threads as PyTorch uses.
        """
        self.count()
        self.update()

    def count(self) -> None:
        """Begin a step: count it and initialize the state of new parameters.

        Followed by :meth:`update` this is :meth:`step`. A GPU's graph records only the update.
        """
        for group in self.param_groups:
            for _, gradient, state in self._updates(group):
                if not state:
                    state |= _initial_state(gradient, group["max_dimension"])
                state["step"] += 1

    @torch.no_grad()
    def update(self, numbers: Tensor | None = None) -> None:
        """Do the arithmetic of the step that was counted.

        Args:
            numbers: Values of :attr:`numbers`, shape ``(groups, 3)``, on the parameters' device,
                for operations that are recorded and replayed with other values; by default they
                are constants.
        """
        for index, group in enumerate(self.param_groups):
            updates = self._updates(group)
            if numbers is not None:
                _update(updates, group, tuple(numbers[index].unbind()))
                continue
            on_cpu = all(parameter.device.type == "cpu" for parameter, *_ in updates)
            shares = _balanced(updates, torch.get_num_threads() if on_cpu else 1)
            run_shares(self._update_share, [(share, group) for share in shares])

    @property
    def steady(self) -> bool:
        """Whether the next step consists of the same operations as the steps before it.

        It does not if it refreshes bases or weights the covariances differently.
        """
        steps = {
            self.state[parameter].get("step", 0)
            for group in self.param_groups
            for parameter in group["params"]
        }
        step = max(steps) + 1
        return len(steps) == 1 and all(
            not _refreshes(step, group) and _kept(step, group) == group["covariance_beta"]
            for group in self.param_groups
        )

    @property
    def numbers(self) -> Tensor:
        """The numbers by which steady steps differ; shape ``(groups, 3)``, on the CPU."""
        # In steady steps all parameters of a group have done the same number of steps.
        steps = [self.state[group["params"][0]]["step"] for group in self.param_groups]
        return torch.tensor(list(map(_numbers, steps, self.param_groups)))

    def _updates(self, group: dict[str, Any]) -> list[Update]:
        return [
            (each, each.grad, self.state[each]) for each in group["params"] if each.grad is not None
        ]

    def _update_share(self, updates: list[Update], group: dict[str, Any]) -> None:
        if large := [update for update in updates if not self._update_small(*update, group)]:
            _update(large, group)

    def _update_small(
        self, parameter: Tensor, gradient: Tensor, state: State, group: dict[str, Any]
    ) -> bool:
        """Update a small matrix in C; return whether the parameter is one."""
        small = self._small.get(parameter)
        # If a checkpoint was loaded, it has replaced the tensors whose addresses C knows.
        if small is None or not small.is_of(parameter, state):
            matrix = _as_matrix(parameter.detach(), group["max_dimension"])
            small = small_matrix(parameter, matrix, state)
            if small is None:
                return False
            self._small[parameter] = small
        gradient, step = gradient.contiguous(), state["step"]
        small.observe(gradient, _kept(step, group))
        if _refreshes(step, group):
            _refresh(state)
        rate, correction, decay = _numbers(step, group)
        small.update(
            gradient, Hyperparameters(*group["betas"], rate, correction, group["eps"], decay)
        )
        return True


def _balanced(updates: list[Update], count: int) -> list[list[Update]]:
    """Divide updates so that all shares take about the same time."""
    shares: list[list[Update]] = [[] for _ in range(count)]

    def numbers(updates: list[Update]) -> int:
        return sum(gradient.numel() for _, gradient, _ in updates)

    # The largest come first; each goes to the share with the least work so far.
    for update in sorted(updates, key=lambda update: -update[1].numel()):
        min(shares, key=numbers).append(update)
    return [share for share in shares if share]


@torch.no_grad()
def _update(
    updates: list[Update],
    group: dict[str, Any],
    numbers: tuple[Any, ...] | None = None,
) -> None:
    """Do one step for some parameters, in place."""
    parameters, _, states = map(list, zip(*updates, strict=True))
    if numbers is None:
        each = [_numbers(state["step"], group) for state in states]
        rates, corrections, (decay, *_) = map(list, zip(*each, strict=True))
    else:
        rates, corrections, decay = numbers
    first_beta, second_beta = group["betas"]
    turned = [_observe(gradient, state, group) for _, gradient, state in updates]
    means, squares = ([state[name] for state in states] for name in ("mean", "mean_square"))
    # G′ = PᵀGQ;  M ← β₁M + (1 − β₁)G′;  V ← β₂V + (1 − β₂)G′²;  N = M̂ / (√V̂ + ε);  W ← W − ηPNQᵀ.
    # Operations on lists of tensors, because for most parameters a call takes longer than its work.
    torch._foreach_lerp_(means, turned, 1 - first_beta)
    torch._foreach_mul_(turned, turned)
    torch._foreach_lerp_(squares, turned, 1 - second_beta)
    roots = torch._foreach_div(squares, corrections)
    torch._foreach_sqrt_(roots)
    torch._foreach_add_(roots, group["eps"])
    ratios = torch._foreach_div(means, roots)
    torch._foreach_mul_(ratios, rates)
    if group["weight_decay"]:  # without it, a pass over all weights is saved
        torch._foreach_mul_(parameters, decay)
    steps = [
        _turn(ratio, state["bases"], back=True) for ratio, state in zip(ratios, states, strict=True)
    ]
    torch._foreach_sub_(parameters, list(map(_in_shape_of, parameters, steps)))


def _numbers(step: int, group: dict[str, Any]) -> tuple[float, float, float]:
    """Return everything that steady steps depend on, except tensors.

    Returns:
        Step size η / (1 − β₁ᵗ), which corrects the first moment's bias; divisor 1 − β₂ᵗ of the
        second moment, which corrects its bias; and factor of all weights.
    """
    first_beta, second_beta = group["betas"]
    rate: float = group["lr"]
    return rate / (1 - first_beta**step), 1 - second_beta**step, 1 - rate * group["weight_decay"]


def _kept(step: int, group: dict[str, Any]) -> float:
    """Return the weight of the old covariance in the new one.

    The first 1 / (1 − β) steps are a plain average, so that the first bases do not depend on the
    zeros with which the covariances start.
    """
    beta: float = group["covariance_beta"]
    return min(beta, 1 - 1 / step)


def _refreshes(step: int, group: dict[str, Any]) -> bool:
    every: int = group["refresh_every"]
    return every == 1 or step % every == 1


def _observe(gradient: Tensor, state: State, group: dict[str, Any]) -> Tensor:
    """Update the covariances, refresh the bases if needed, and return the gradient in the bases."""
    gradient = _as_matrix(gradient, group["max_dimension"])
    keep = _kept(state["step"], group)
    for covariance, rows in zip(state["covariances"], _unfoldings(gradient), strict=True):
        if covariance is not None:  # L ← βL + (1 − β)GGᵀ, R ← βR + (1 − β)GᵀG
            covariance.addmm_(rows, rows.T, beta=keep, alpha=1 - keep)
    if _refreshes(state["step"], group):
        _refresh(state)
    return _turn(gradient, state["bases"])


def _as_matrix(gradient: Tensor, max_dimension: int) -> Tensor:
    """Return a parameter's gradient as a matrix, or as a tensor of three sides.

    It is a view where the gradient has its channels last in memory.
    """
    if gradient.ndim <= 1:
        return gradient.reshape(-1, 1)
    if gradient.ndim == 2:
        return gradient
    rows, channels = gradient.shape[:2]
    # As a matrix, one side would be longer than the limit and get no basis. Each of three sides can
    # be short enough to get one.
    three = gradient.numel() > max_dimension * rows
    return gradient.movedim(1, -1).reshape(rows, -1, *[channels] * three)


def _in_shape_of(parameter: Tensor, update: Tensor) -> Tensor:
    """Undo :func:`_as_matrix`: return the update in the parameter's shape."""
    if parameter.ndim <= 2:
        return update.view_as(parameter)
    return update.view_as(parameter.movedim(1, -1)).movedim(-1, 1)


def _unfoldings(tensor: Tensor) -> list[Tensor]:
    """Return the unfoldings of a tensor: for each side, the matrix whose rows that side indexes."""
    if tensor.ndim == 2:
        return [tensor, tensor.T]
    return [tensor.flatten(1), tensor.movedim(1, 0).flatten(1), tensor.flatten(0, -2).T]


def _initial_state(gradient: Tensor, max_dimension: int) -> State:
    """Return moments and covariances of zero and bases that are the identity.

    A side that keeps the identity has ``None``.
    """
    matrix = _as_matrix(gradient, max_dimension)
    # A side of length 1 has no other basis than ±1.
    sides = [side if 1 < side <= max_dimension else None for side in matrix.shape]
    return {
        "step": 0,
        "mean": matrix.new_zeros(matrix.shape),
        "mean_square": matrix.new_zeros(matrix.shape),
        "covariances": [side and matrix.new_zeros(side, side) for side in sides],
        "bases": [side and torch.eye(side).to(matrix) for side in sides],
    }


def _refresh(state: State) -> None:
    """Move each basis towards its covariance's eigenvectors: Q ← QR(LQ), in place.

    Columns are sorted by their variance, largest first: a QR of a power iteration finds the first
    columns best, and only in this order do they stay the leading eigenvectors. The second moment is
    sorted with them. The first moment, which is linear in the gradient, is turned from the old
    bases into the new ones. The second moment is not linear, and is not turned, as in the paper.
    """
    mean = _turn(state["mean"], state["bases"], back=True)
    sides = zip(state["covariances"], state["bases"], strict=True)
    for side, (covariance, basis) in enumerate(sides):
        if covariance is None:
            continue
        # One power iteration is enough, because covariances change little between two refreshes.
        image = covariance @ basis
        order = (basis * image).sum(dim=0).argsort(descending=True, stable=True)
        state["mean_square"].copy_(state["mean_square"].index_select(side, order))
        basis.copy_(_orthonormal(image.index_select(1, order)))
    state["mean"].copy_(_turn(mean, state["bases"]))


def _orthonormal(matrix: Tensor) -> Tensor:
    """Return Q of the matrix's QR decomposition, on the CPU or on its device."""
    # Apple's GPUs have none, and a refresh is rare.
    if matrix.device.type in WITHOUT_QR:
        matrix = matrix.cpu()
    orthonormal: Tensor = torch.linalg.qr(matrix)[0]
    return orthonormal


def _turn(tensor: Tensor, bases: Sequence[Tensor | None], *, back: bool = False) -> Tensor:
    """Return PᵀGQ, or with ``back`` PGQᵀ, as a new tensor; a basis ``None`` is the identity."""
    first, *middle, last = (basis.T if basis is not None and not back else basis for basis in bases)
    turned = tensor
    if first is not None:
        turned = (first @ turned.flatten(1)).view_as(tensor)
    if middle and middle[0] is not None:
        turned = middle[0] @ turned
    if last is not None:
        turned = turned @ last.T
    return turned.clone() if turned is tensor else turned
