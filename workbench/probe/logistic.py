"""Fit L2-regularised logistic regression on Gram matrices, for several sites, many label vectors
and many C at once.

The optimum is that of scikit-learn's ``LogisticRegression(C=C)`` on standardised features: it
    minimises C sum_i log(1 + exp(-y_i f_i)) + |w|^2 / 2,   f = Z w + b,   b not penalised,
with Z standardised by the training rows alone. There w = Z' alpha, so every fit works on K = Z Z'
[m, m] whatever the width. Newton (IRLS): with p = sigmoid(f), r = y - p, s = sqrt(p (1 - p)), B = I
/ C + diag(s) K diag(s) and the gap q = C r - alpha, zero at the optimum,
    h = q - s B^-1 s K q,   rise = sum h / sum(s B^-1 s),   alpha += h - rise s B^-1 s,   b += rise.
A Cholesky factor of B serves a few steps with fresh p, and a step that raises the objective is
halved. The gap, the log-odds and the objective are float64 throughout; B only steers the steps, so
it is factorised in float32 where its condition allows. Sign: f > 0 speaks for the class True. Cost
grows with m^3; by operation count the primal form wins beyond about 2.5 rows a feature. The fit
does not show how well it holds on other rows; that is the business of
:mod:`workbench.probe.crossfit`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.errors import WorkbenchError

STEPS_PER_FACTOR = 3
MAX_FACTORS = 60
TOLERANCE = 1e-6
ROUNDING = 1e-10
MAX_HALVINGS = 30
CONSTANT = 1e-10
SINGLE_PRECISION_CONDITION = 1e5


@dataclass(frozen=True)
class Standardiser:
    """The mean and standard deviation (of the population, as in scikit-learn) of each feature
    [sites, 1, width], float64.

    A feature that is constant on the training rows has scale 1, so it becomes 0 there.
    """

    mean: Tensor
    scale: Tensor

    def __post_init__(self) -> None:
        if self.mean.ndim != 3 or self.mean.shape[1] != 1 or self.mean.shape != self.scale.shape:
            raise ValueError(
                f"mean {tuple(self.mean.shape)} and scale {tuple(self.scale.shape)} must be "
                "[sites, 1, width]"
            )

    def __call__(self, states: Tensor) -> Tensor:
        """Return a standardised copy of ``states`` [sites, rows, width]."""
        return (states - self.mean).div_(self.scale)


@dataclass(frozen=True)
class Solutions:
    """The fits of b problems at each of s sites on m rows: dual coefficients ``alpha`` [s, b, m]
    and ``intercept`` [s, b].
    """

    alpha: Tensor
    intercept: Tensor

    def __post_init__(self) -> None:
        if self.alpha.ndim != 3 or self.intercept.shape != self.alpha.shape[:2]:
            raise ValueError(
                f"alpha {tuple(self.alpha.shape)} and intercept {tuple(self.intercept.shape)} "
                "disagree"
            )

    def decision(self, gram: Tensor) -> Tensor:
        """Return the log-odds [s, b, rows] of the rows of ``gram`` [s, rows, m], their inner
        products with the training rows.
        """
        return self.alpha @ gram.mT + self.intercept[:, :, None]


def standardiser(states: Tensor) -> Standardiser:
    """Return the statistics of the training rows ``states`` [sites, m, width] float64."""
    average = torch.full((len(states), 1, states.shape[1]), 1 / states.shape[1], dtype=states.dtype)
    mean = average @ states
    scale = (average @ (states - mean).square_()).sqrt_()
    constant = scale <= CONSTANT * mean.abs()
    return Standardiser(mean, torch.where(constant, torch.ones_like(scale), scale))


def fit(gram: Tensor, labels: Tensor, c: Tensor) -> Solutions:
    """Solve b problems at each of s sites that share their rows, given the Gram matrices ``gram``
    [s, m, m] (float64).

    ``labels`` [b, m] are 0 or 1 with both classes in every row, ``c`` [b] the inverse
    regularisation strengths. Stops when no log-odds moves by more than 1e-6 in a step.

    Raises:
        WorkbenchError: for labels of one class, C <= 0, or no convergence.
    """
    _check(gram, labels, c)
    share = labels.mean(dim=1)
    alpha = torch.zeros((len(gram), *labels.shape), dtype=gram.dtype)
    intercept = torch.log(share / (1 - share)).repeat(len(gram), 1)
    problem = _Problem(gram, gram.to(torch.float32), labels, c)
    state = problem.state(alpha, intercept, intercept[:, :, None].expand_as(alpha))
    pending = torch.arange(len(c))
    for _ in range(MAX_FACTORS):
        state, moved = _steps(problem, state)
        alpha[:, pending], intercept[:, pending] = state.alpha, state.intercept
        going = moved.amax(dim=0) > TOLERANCE
        if not bool(going.any()):
            return Solutions(alpha, intercept)
        if not bool(going.all()):
            pending, problem, state = pending[going], problem.only(going), state.only(going)
    raise WorkbenchError(
        f"the logistic probe did not converge for C = {sorted(set(c[pending].tolist()))} on "
        f"{len(labels.T)} rows; "
        "leave these values out of inverse_penalties (with fewer rows than features the classes "
        "are separable: use small C)"
    )


def feature_weights(
    solution: Solutions, standardised: Tensor, scaling: Standardiser
) -> tuple[Tensor, Tensor]:
    """Return the direction [s, b, width] and the intercept [s, b] in units of the states: log-odds
    = states . direction + intercept.

    ``standardised`` [s, m, width] are the training rows the Gram matrices were made of. Times
    ``scaling.scale`` the direction is the coefficient of the standardised features.
    """
    direction = (solution.alpha @ standardised) / scaling.scale
    return direction, solution.intercept - (direction * scaling.mean).sum(dim=2)


@dataclass(frozen=True)
class _State:
    alpha: Tensor
    intercept: Tensor
    f: Tensor
    objective: Tensor

    def only(self, kept: Tensor) -> _State:
        return _State(
            self.alpha[:, kept], self.intercept[:, kept], self.f[:, kept], self.objective[:, kept]
        )


@dataclass(frozen=True)
class _Problem:
    gram: Tensor
    single: Tensor
    labels: Tensor
    c: Tensor

    def state(self, alpha: Tensor, intercept: Tensor, f: Tensor) -> _State:
        loss = (torch.nn.functional.softplus(f) - self.labels * f).sum(dim=2)
        penalty = (alpha * f).sum(dim=2) - intercept * alpha.sum(dim=2)
        return _State(alpha, intercept, f, self.c * loss + penalty / 2)

    def between(self, start: _State, target: _State, share: Tensor) -> _State:
        rows = share[:, :, None]
        return self.state(
            torch.lerp(start.alpha, target.alpha, rows),
            torch.lerp(start.intercept, target.intercept, share),
            torch.lerp(start.f, target.f, rows),
        )

    def only(self, kept: Tensor) -> _Problem:
        return _Problem(self.gram, self.single, self.labels[kept], self.c[kept])


def _steps(problem: _Problem, state: _State) -> tuple[_State, Tensor]:
    """Take some Newton steps with one factorisation; return the new state and how far each
    problem's log-odds moved in the last one [s, b].
    """
    c = problem.c[:, None]
    probability = torch.sigmoid(state.f)
    root = torch.sqrt(probability * (1 - probability))
    solve = _factorised(problem, root)
    m_one = root * solve(root)
    m_total = m_one.sum(dim=2)
    moved = torch.full_like(m_total, torch.inf)
    for _ in range(STEPS_PER_FACTOR):
        scaled_residual = c * (problem.labels - torch.sigmoid(state.f))
        gap = scaled_residual - state.alpha
        pulled = gap - root * solve(root * (gap @ problem.gram))
        rise = pulled.sum(dim=2) / m_total
        change = pulled - rise[:, :, None] * m_one
        shift = change @ problem.gram + rise[:, :, None]
        target = problem.state(state.alpha + change, state.intercept + rise, state.f + shift)
        moved = shift.abs().amax(dim=2)
        state = _descend(problem, state, target)
        if float(moved.max()) <= TOLERANCE:
            break
    return state, moved


def _factorised(problem: _Problem, root: Tensor) -> Callable[[Tensor], Tensor]:
    """Return ``x -> B^-1 x`` for vectors [s, b, m], in single precision where B is conditioned well
    enough (see the module).
    """
    condition = (
        float(problem.c.max()) * float(problem.gram.diagonal(dim1=1, dim2=2).sum(dim=1).max()) / 4
    )
    single = condition < SINGLE_PRECISION_CONDITION
    gram, scaling = (problem.single, root.to(torch.float32)) if single else (problem.gram, root)
    curvature = gram[:, None] * scaling[:, :, None, :]
    curvature.mul_(scaling[:, :, :, None])
    curvature.diagonal(dim1=2, dim2=3).add_((1 / problem.c[:, None]).to(curvature.dtype))
    factor = torch.linalg.cholesky(curvature)

    def solve(right: Tensor) -> Tensor:
        half = torch.linalg.solve_triangular(
            factor, right[:, :, :, None].to(factor.dtype), upper=False
        )
        return torch.linalg.solve_triangular(factor.mT, half, upper=True)[:, :, :, 0].to(
            right.dtype
        )

    return solve


def _descend(problem: _Problem, start: _State, target: _State) -> _State:
    """Return ``target``, or, for the problems whose objective it would raise, a point on the way to
    it that does not.
    """
    ceiling = start.objective * (1 + ROUNDING)
    share = torch.ones_like(ceiling)
    point = target
    for _ in range(MAX_HALVINGS):
        worse = ~(point.objective <= ceiling)
        if not bool(worse.any()):
            break
        share = torch.where(worse, share / 2, share)
        point = problem.between(start, target, share)
    return point


def _check(gram: Tensor, labels: Tensor, c: Tensor) -> None:
    if gram.ndim != 3 or gram.shape[1] != gram.shape[2] or labels.shape != (len(c), gram.shape[1]):
        raise ValueError(
            f"gram {tuple(gram.shape)}, labels {tuple(labels.shape)} and c {tuple(c.shape)} "
            "disagree"
        )
    if not bool((c > 0).all()):
        raise WorkbenchError(f"C is an inverse penalty and must be above 0; got {c.tolist()}")
    share = labels.mean(dim=1)
    if not bool(((share > 0) & (share < 1)).all()):
        raise WorkbenchError(
            "a logistic probe needs right and wrong answers among its training rows; use more "
            "questions"
        )
