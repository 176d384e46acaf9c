"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner.

    gradient G (m, n) ──► covariances  L ← E[G Gᵀ],  R ← E[Gᵀ G]
                          eigenbases   P of L,  Q of R      (refreshed every few steps by a power
                                                             iteration and a QR decomposition)
                          Adam on      PᵀGQ                 update  = P · Adam · Qᵀ

Source: Vyas et al., *SOAP: Improving and Stabilizing Shampoo using Adam*, 2024 (arXiv 2409.11321),
algorithm 3. SOAP suits small networks, whose covariances and eigenbases are cheap to compute.
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
"""Types of devices on which PyTorch has no QR decomposition, or on which it hangs."""

State = dict[str, Any]
Update = tuple[Tensor, Tensor, State]
"""A parameter, its gradient, and the optimizer's state of the parameter."""


class SOAP(torch.optim.Optimizer):
    """Adam in the eigenbases of the covariances of each parameter's gradient.

    A parameter is treated as a matrix (m, n). Its rows are one side and its columns the other side,
    and each side has a basis. A vector is treated as a matrix (m, 1). The matrix of a convolution's
    weight has one row per output channel. The columns are ordered by kernel row, then by kernel
    column, then by input channel, which is the order in memory if the channels are last.

    If the matrix of a convolution's weight would have more than ``max_dimension`` columns, the
    weight is treated as a tensor with three sides: output channels, kernel positions and input
    channels. Each of the three sides has a basis. The basis of a side stays the identity if the
    length of the side is 1 or above ``max_dimension``. If all bases are the identity, SOAP is
    exactly AdamW.

    ``state_dict()`` contains everything that a step depends on, as tensors, integers and lists. An
    optimizer that is restored from it continues with the same bits. The dictionary can be loaded
    from a file with ``torch.load(..., weights_only=True)``.

    For a matrix (m, n), a step takes O(mn(m + n)) operations: four products with the bases and two
    updates of covariances. A refresh of the bases takes O(m³ + n³) more. The state has
    2(m² + n²) + 2mn numbers.

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
        lr: Learning rate. The entries of an update in the eigenbases are about as large as ``lr``.
        betas: Decay rates of the first and of the second moment, each in [0, 1).
        covariance_beta: Decay rate of the covariances, in [0, 1).
        eps: Number added to the square root of the second moment, above 0.
        weight_decay: Decoupled weight decay, as in AdamW: each step multiplies the weights by
            1 − lr · weight_decay.
        refresh_every: Number of steps from one refresh of the bases to the next, at least 1.
        max_dimension: Length of the longest side whose basis may differ from the identity.

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
        # A copied or unpickled optimizer starts with an empty dictionary, because the objects hold
        # memory addresses of the original optimizer's tensors.
        return {}

    # PyTorch wraps these methods for torch.compile. The wrappers import the compiler, which takes
    # more than a second before the first step, so the unwrapped methods are used.
    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)

    def step(self) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient.

        On a CPU, each of PyTorch's threads updates a part of the parameters of a group.
        """
        self.count()
        self.update()

    def count(self) -> None:
        """Begin a step: initialize missing states, and add 1 to the number of steps in each state.

        A step is :meth:`count` followed by :meth:`update`. A CUDA graph records only the update,
        because counting is done in Python.
        """
        for group in self.param_groups:
            for _, gradient, state in self._updates(group):
                if not state:
                    state |= _initial_state(gradient, group["max_dimension"])
                state["step"] += 1

    @torch.no_grad()
    def update(self, numbers: Tensor | None = None) -> None:
        """Finish a step: update the moments, the covariances, the bases and the parameters.

        :meth:`count` must be called first.

        Args:
            numbers: Value of :attr:`numbers`, shape ``(groups, 3)``, on the parameters' device. A
                recorded update reads this tensor, so its values can change between replays. By
                default the update computes the same numbers in Python.
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
        """True if the next step can replay the recorded operations of another steady step.

        The value is false if the next step refreshes bases, if the weight of the old covariances
        (:func:`_kept`) has not reached its final value, or if the parameters have done different
        numbers of steps.
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
        """The result of :func:`_numbers` for each group, shape ``(groups, 3)``, on the CPU."""
        # Before a steady step, all parameters have done the same number of steps.
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
        """Update a parameter in C if the C kernel can do so; return whether it was updated."""
        small = self._small.get(parameter)
        # Loading a checkpoint replaces tensors, and C would still use the old tensors' addresses.
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
    """Divide updates into at most ``count`` shares that take about the same time."""
    shares: list[list[Update]] = [[] for _ in range(count)]

    def numbers(updates: list[Update]) -> int:
        return sum(gradient.numel() for _, gradient, _ in updates)

    # The largest updates are assigned first, each to the share with the fewest numbers so far.
    for update in sorted(updates, key=lambda update: -update[1].numel()):
        min(shares, key=numbers).append(update)
    return [share for share in shares if share]


@torch.no_grad()
def _update(
    updates: list[Update],
    group: dict[str, Any],
    numbers: tuple[Any, ...] | None = None,
) -> None:
    """Do one step for some parameters of a group, in place.

    ``numbers`` is the result of :func:`_numbers` for all of the parameters; by default it is
    computed for each parameter.
    """
    parameters, _, states = map(list, zip(*updates, strict=True))
    if numbers is None:
        each = [_numbers(state["step"], group) for state in states]
        rates, corrections, (decay, *_) = map(list, zip(*each, strict=True))
    else:
        rates, corrections, decay = numbers
    first_beta, second_beta = group["betas"]
    turned = [_observe(gradient, state, group) for _, gradient, state in updates]
    means, squares = ([state[name] for state in states] for name in ("mean", "mean_square"))
    # M̂ and V̂ are M and V with corrected bias, and η is the learning rate:
    # G′ = PᵀGQ;  M ← β₁M + (1 − β₁)G′;  V ← β₂V + (1 − β₂)G′²;  N = M̂ / (√V̂ + ε);  W ← W − ηPNQᵀ.
    # Each operation takes a list of tensors, because one call per parameter would be slow.
    torch._foreach_lerp_(means, turned, 1 - first_beta)
    torch._foreach_mul_(turned, turned)
    torch._foreach_lerp_(squares, turned, 1 - second_beta)
    roots = torch._foreach_div(squares, corrections)
    torch._foreach_sqrt_(roots)
    torch._foreach_add_(roots, group["eps"])
    ratios = torch._foreach_div(means, roots)
    torch._foreach_mul_(ratios, rates)
    if group["weight_decay"]:  # without weight decay, this saves a pass over all weights
        torch._foreach_mul_(parameters, decay)
    # The ratios are in the eigenbases, so they are turned back before they change the parameters.
    changes = [
        _turn(ratio, state["bases"], back=True) for ratio, state in zip(ratios, states, strict=True)
    ]
    torch._foreach_sub_(parameters, list(map(_in_shape_of, parameters, changes)))


def _numbers(step: int, group: dict[str, Any]) -> tuple[float, float, float]:
    """Return the three numbers that change from one steady step to the next.

    Returns:
        A tuple of three numbers, where t is ``step`` and η is the learning rate. The first is the
        step size η / (1 − β₁ᵗ), which includes the bias correction of the first moment. The second
        is 1 − β₂ᵗ, by which the second moment is divided to correct its bias. The third is
        1 − η · weight_decay, by which all weights are multiplied.
    """
    first_beta, second_beta = group["betas"]
    rate: float = group["lr"]
    return rate / (1 - first_beta**step), 1 - second_beta**step, 1 - rate * group["weight_decay"]


def _kept(step: int, group: dict[str, Any]) -> float:
    """Return the weight of the old covariance in the new covariance: the smaller of β and 1 − 1/t.

    Here t is ``step``, and β is ``covariance_beta``. As long as t ≤ 1 / (1 − β), the weight 1 − 1/t
    makes the covariance the plain mean over all steps so far. So the zeros with which the
    covariance starts have no weight.
    """
    beta: float = group["covariance_beta"]
    return min(beta, 1 - 1 / step)


def _refreshes(step: int, group: dict[str, Any]) -> bool:
    """Return whether a step, numbered from 1, refreshes the bases; step 1 always does."""
    every: int = group["refresh_every"]
    return every == 1 or step % every == 1


def _observe(gradient: Tensor, state: State, group: dict[str, Any]) -> Tensor:
    """Update the covariances, refresh the bases if this step does so, and return PᵀGQ."""
    gradient = _as_matrix(gradient, group["max_dimension"])
    keep = _kept(state["step"], group)
    for covariance, rows in zip(state["covariances"], _unfoldings(gradient), strict=True):
        if covariance is not None:  # L ← βL + (1 − β)GGᵀ, R ← βR + (1 − β)GᵀG
            covariance.addmm_(rows, rows.T, beta=keep, alpha=1 - keep)
    if _refreshes(state["step"], group):
        _refresh(state)
    return _turn(gradient, state["bases"])


def _as_matrix(tensor: Tensor, max_dimension: int) -> Tensor:
    """Return a parameter or its gradient as a matrix, or as a tensor of three sides.

    The result is a view if the channels are last in memory; otherwise it can be a copy.
    """
    if tensor.ndim <= 1:
        return tensor.reshape(-1, 1)
    if tensor.ndim == 2:
        return tensor
    rows, channels = tensor.shape[:2]
    # A matrix with more columns than the limit would have the identity as basis of its columns.
    # Therefore the columns are divided into two shorter sides, which can have bases of their own.
    three = tensor.numel() > max_dimension * rows
    return tensor.movedim(1, -1).reshape(rows, -1, *[channels] * three)


def _in_shape_of(parameter: Tensor, update: Tensor) -> Tensor:
    """Undo :func:`_as_matrix`: return the update in the parameter's shape."""
    if parameter.ndim <= 2:
        return update.view_as(parameter)
    return update.view_as(parameter.movedim(1, -1)).movedim(-1, 1)


def _unfoldings(tensor: Tensor) -> list[Tensor]:
    """Return one matrix per side of a tensor, with a row for each index of the side (unfolding)."""
    if tensor.ndim == 2:
        return [tensor, tensor.T]
    return [tensor.flatten(1), tensor.movedim(1, 0).flatten(1), tensor.flatten(0, -2).T]


def _initial_state(gradient: Tensor, max_dimension: int) -> State:
    """Return the state of a new parameter: moments and covariances are 0, bases the identity.

    The covariance and the basis of a side are ``None`` if the basis stays the identity.
    """
    matrix = _as_matrix(gradient, max_dimension)
    # The only bases of a side of length 1 are 1 and −1, so the identity is enough.
    sides = [side if 1 < side <= max_dimension else None for side in matrix.shape]
    return {
        "step": 0,
        "mean": matrix.new_zeros(matrix.shape),
        "mean_square": matrix.new_zeros(matrix.shape),
        "covariances": [side and matrix.new_zeros(side, side) for side in sides],
        "bases": [side and torch.eye(side).to(matrix) for side in sides],
    }


def _refresh(state: State) -> None:
    """Move each basis toward its covariance's eigenvectors, in place: P ← qr(LP), Q ← qr(RQ).

    The columns of a basis are first sorted by the variance of the gradient along them, largest
    first. The QR decomposition keeps the direction of the first column, and makes each other column
    orthogonal to the columns before it. The second moment is sorted in the same order. The first
    moment is linear in the gradient, so it is converted from the old bases to the new ones. The
    second moment is not linear in the gradient and is not converted, as in the paper.
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
    """Return the factor Q of a matrix's QR decomposition."""
    # If the device has no QR decomposition, the CPU computes it. The copy to the CPU costs little,
    # because refreshes are rare.
    if matrix.device.type in WITHOUT_QR:
        matrix = matrix.cpu()
    orthonormal: Tensor = torch.linalg.qr(matrix)[0]
    return orthonormal


def _turn(tensor: Tensor, bases: Sequence[Tensor | None], *, back: bool = False) -> Tensor:
    """Return PᵀGQ, or PGQᵀ if ``back`` is true, as a new tensor; ``None`` means the identity."""
    first, *middle, last = (basis.T if basis is not None and not back else basis for basis in bases)
    turned = tensor
    if first is not None:
        turned = (first @ turned.flatten(1)).view_as(tensor)
    if middle and middle[0] is not None:
        turned = middle[0] @ turned
    if last is not None:
        turned = turned @ last.T
    return turned.clone() if turned is tensor else turned
