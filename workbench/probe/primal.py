"""Fit L2-regularised logistic regressions in the space of features, many at once, for many rows.

The optimum is that of :mod:`workbench.probe.logistic` (scikit-learn's, on features standardised by
the training rows):
    minimise C sum_i log(1 + exp(-y_i f_i)) + |w|^2 / 2,   f = Z w + b,   b not penalised.
No matrix of rows x rows or features x features is made. Every problem (a training set, a C, labels)
takes preconditioned nonlinear conjugate gradient steps (Polak-Ribiere+), and one pass over the
states serves all problems: their standardisations differ by a mean and a scale of each feature
alone, which go into the weights. Log-odds along a direction are a line, so the step along it costs
no pass. The preconditioner is shared by all problems: k (U (lambda - t) U' + t I) + I with
k = C sum p (1 - p), the leading directions U and their variances lambda from a sample of rows, t
the mean variance of the rest; variances are corrected from the sample's size to the training rows'.

A problem is done when the step that would follow, taken by the preconditioner for the Hessian,
moves its log-odds by less than TOLERANCE (root mean square over training rows, weighted by p (1 -
p)). Products are in float32, log-odds and sums over rows in float64. Sign: f > 0 speaks for True.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.probe.site_rows import SiteRows

TOLERANCE = 1e-3
MAX_STEPS = 1000
LEADING = 128
SAMPLED = 512
LEAST_VARIANCE = 1e-5
SLOPE_LEFT = 0.1
MAX_LINE_STEPS = 30


@dataclass(frozen=True, eq=False)
class Problems:
    """What is fitted on shared rows.

    Attributes:
        labels: [b, n] 0 or 1.
        splits: [s, n] whether a row trains in a split.
        split_of: [b] the split of each problem.
        c: [b] inverse penalties, float64.
    """

    labels: Tensor
    splits: Tensor
    split_of: Tensor
    c: Tensor

    def some(self, start: int, count: int) -> Problems:
        """Return ``count`` problems from ``start`` on."""
        part = slice(start, start + count)
        return Problems(self.labels[part], self.splits, self.split_of[part], self.c[part])


@dataclass(frozen=True, eq=False)
class PrimalFits:
    """The fits of b problems, all float64.

    Attributes:
        decision: [b, n] log-odds of all rows, those that did not train included.
        weights, intercept: [b, width], [b] in units of the states.
        mean, scale: [s, width] the standardisation of each split.
    """

    decision: Tensor
    weights: Tensor
    intercept: Tensor
    mean: Tensor
    scale: Tensor


def bytes_of_problem(rows: int, width: int) -> int:
    """Return about how many bytes a problem takes while it is fitted."""
    return 12 * 8 * rows + 12 * 4 * width


def fit_primal(rows: SiteRows, problems: Problems, together: int) -> PrimalFits:
    """Fit every problem, ``together`` at once at most.

    Raises:
        WorkbenchError: where a training set has one class only, or a fit does not converge.
    """
    mean, scale = rows.moments(problems.splits)
    guess = _Preconditioner.of(rows, float(problems.splits.sum(dim=1).double().mean()))
    found = [
        _solve(rows, problems.some(start, together), mean, scale, guess)
        for start in range(0, len(problems.c), together)
    ]
    decision, weights, intercept = (torch.cat(parts) for parts in zip(*found, strict=True))
    raw = weights / (scale[problems.split_of] * rows.scale)
    centre = rows.mean + mean * rows.scale
    shift = (raw * centre[problems.split_of]).sum(dim=1)
    return PrimalFits(decision, raw, intercept - shift, centre, scale * rows.scale)


@dataclass(frozen=True, eq=False)
class _Preconditioner:
    """The leading ``directions`` [k, width] of the states with their variances [k], and the mean
    variance of the rest.
    """

    directions: Tensor
    variances: Tensor
    rest: float

    @classmethod
    def of(cls, rows: SiteRows, trained: float) -> _Preconditioner:
        """Estimate them from the sample, for training sets of ``trained`` rows."""
        sample, width = rows.sample, rows.width
        count = len(sample)
        found, vectors = torch.linalg.eigh(sample @ sample.mT / count)
        leading = int((found > LEAST_VARIANCE * found[-1]).sum())
        leading = max(1, min(LEADING, leading, width - 1, count // 2))
        found, vectors = found[-leading:].double(), vectors[:, -leading:]
        directions = ((vectors / (found * count).sqrt().float()).mT @ sample).contiguous()
        total = float(sample.square().sum()) / count
        # A sample's leading variances hold noise of the others, the more the fewer rows.
        noise = max(total - float(found.sum()), 0.0) / max(width - leading, 1)
        for _ in range(2):
            corrected = found - noise * width * (1 / count - 1 / trained)
            noise = max(total - float(corrected.sum()), 0.0) / max(width - leading, 1)
        ranks = max(min(float(width), trained) - leading, 1.0)
        rest = (noise * (width - leading) / ranks) * (1 + min(trained, width) / max(trained, width))
        rest = max(rest, LEAST_VARIANCE)
        return cls(directions, corrected.clamp(min=rest), rest)

    def solve(self, gradient: Tensor, curvature: Tensor) -> Tensor:
        """Return the inverse on ``gradient`` [b, width] for problems of ``curvature`` [b]."""
        plain = 1 / (1 + curvature * self.rest)
        along = 1 / (1 + curvature[:, None] * self.variances) - plain[:, None]
        inside = along.float() * (gradient @ self.directions.mT)
        return torch.addmm(gradient * plain[:, None].float(), inside, self.directions)


@dataclass(frozen=True, eq=False)
class _State:
    """What is known of each problem that is not done: weights w [b, width] and log-odds f [b, n]
    at the present point, the last direction, gradient's preconditioned form and their product.
    """

    number: Tensor
    labels: Tensor
    train: Tensor
    c: Tensor
    shift: Tensor
    factor: Tensor
    w: Tensor
    b: Tensor
    f: Tensor
    direction: Tensor
    direction_b: Tensor
    last: Tensor
    last_b: Tensor
    product: Tensor

    def only(self, kept: Tensor) -> _State:
        return _State(*(getattr(self, each.name)[kept] for each in fields(self)))


def _solve(
    rows: SiteRows, problems: Problems, mean: Tensor, scale: Tensor, guess: _Preconditioner
) -> tuple[Tensor, Tensor, Tensor]:
    """Return log-odds [b, n], weights on standardised states [b, width] and intercepts [b]."""
    state = _start(rows, problems, mean, scale)
    decision, weights, intercept = state.f.clone(), torch.zeros_like(state.w), state.b.clone()
    for _ in range(MAX_STEPS):
        p = torch.sigmoid(state.f)
        residual = (state.labels - p).mul_(state.train)
        bend = p.mul_(1 - p).mul_(state.train)
        total = residual.sum(dim=1)
        gradient = rows.sums(residual).mul_(state.factor)
        gradient.sub_(state.shift * total[:, None].float()).mul_(-state.c[:, None].float())
        gradient.add_(state.w)
        gradient_b = -state.c * total
        curvature = (state.c * bend.sum(dim=1)).clamp(min=torch.finfo(torch.float64).tiny)
        step, step_b = guess.solve(gradient, curvature), gradient_b / curvature
        product = _dot(gradient, step) + gradient_b * step_b
        done = product / curvature <= TOLERANCE**2
        if bool(done.any()):
            at = state.number[done]
            decision[at], weights[at], intercept[at] = state.f[done], state.w[done], state.b[done]
            if bool(done.all()):
                return decision, weights.double(), intercept
            kept = ~done
            state = state.only(kept)
            gradient, gradient_b, step, step_b = (
                each[kept] for each in (gradient, gradient_b, step, step_b)
            )
            product, residual, bend = product[kept], residual[kept], bend[kept]
        state = _turn(state, gradient, gradient_b, step, step_b, product)
        state = _move(rows, state, residual, bend)
    raise WorkbenchError(
        f"the logistic probe did not converge for C = {sorted(set(state.c.tolist()))} on "
        f"{rows.rows} rows; leave these values out of inverse_penalties (where the classes are "
        "separable, use small C)"
    )


def _start(rows: SiteRows, problems: Problems, mean: Tensor, scale: Tensor) -> _State:
    """Return every problem at weights 0 and the intercept of its training rows' share of True.

    Raises:
        WorkbenchError: for labels of one class, and C that is not above 0.
    """
    if not bool((problems.c > 0).all()):
        raise WorkbenchError(f"C is an inverse penalty and must be above 0; got {problems.c}")
    labels = problems.labels.double()
    train = problems.splits[problems.split_of].double()
    share = (labels * train).sum(dim=1) / train.sum(dim=1)
    if not bool(((share > 0) & (share < 1)).all()):
        raise WorkbenchError(
            "a logistic probe needs right and wrong answers among its training rows; use more "
            "questions"
        )
    count = len(problems.c)
    nothing, zero = torch.zeros((count, rows.width)), torch.zeros(count, dtype=torch.float64)
    b = torch.log(share / (1 - share))
    return _State(
        number=torch.arange(count), labels=labels, train=train, c=problems.c,
        shift=(mean / scale).float()[problems.split_of],
        factor=(1 / scale).float()[problems.split_of],
        w=nothing, b=b, f=b[:, None].expand_as(labels).clone(),
        direction=nothing.clone(), direction_b=zero, last=nothing.clone(), last_b=zero,
        product=torch.full_like(zero, torch.inf),
    )  # fmt: skip


def _turn(
    state: _State,
    gradient: Tensor,
    gradient_b: Tensor,
    step: Tensor,
    step_b: Tensor,
    product: Tensor,
) -> _State:
    """Return the state with the next direction: down the preconditioned gradient, conjugate to the
    last one where that still goes down.
    """
    kept = _dot(gradient, state.last) + gradient_b * state.last_b
    beta = ((product - kept) / state.product).clamp(min=0)
    direction = state.direction.mul_(beta[:, None].float()).sub_(step)
    direction_b = beta * state.direction_b - step_b
    up = _dot(gradient, direction) + gradient_b * direction_b >= 0
    if bool(up.any()):
        direction[up], direction_b[up] = -step[up], -step_b[up]
    return replace(
        state, direction=direction, direction_b=direction_b, last=step, last_b=step_b,
        product=product,
    )  # fmt: skip


def _move(rows: SiteRows, state: _State, residual: Tensor, bend: Tensor) -> _State:
    """Return the state at the lowest point along its direction."""
    along = rows.times(state.direction * state.factor)
    along += (state.direction_b - _dot(state.shift, state.direction))[:, None]
    size, cross = _dot(state.direction, state.direction), _dot(state.w, state.direction)
    c = state.c
    slope = cross - c * (residual * along).sum(dim=1)
    rise = size + c * (bend * along.square()).sum(dim=1)
    at, low, high = (
        torch.zeros_like(slope),
        torch.zeros_like(slope),
        torch.full_like(slope, torch.inf),
    )
    enough = SLOPE_LEFT * slope.abs()
    for _ in range(MAX_LINE_STEPS):
        newton = at - slope / rise
        middle = torch.where(high.isinf(), 2 * newton.abs() + low, (low + high) / 2)
        at = torch.where((newton > low) & (newton < high), newton, middle)
        p = torch.sigmoid(torch.addcmul(state.f, at[:, None], along))
        slope = (
            cross + at * size + c * ((p - state.labels).mul_(state.train).mul_(along)).sum(dim=1)
        )
        if bool((slope.abs() <= enough).all()):
            break
        rise = size + c * p.mul_(1 - p).mul_(state.train).mul_(along).mul_(along).sum(dim=1)
        low, high = torch.where(slope < 0, at, low), torch.where(slope > 0, at, high)
    state.w.addcmul_(at[:, None].float(), state.direction)
    state.f.addcmul_(at[:, None], along)
    return replace(state, b=state.b + at * state.direction_b)


def _dot(first: Tensor, second: Tensor) -> Tensor:
    """Return the inner products [b] of rows of width, summed in float64."""
    return (first * second).sum(dim=1, dtype=torch.float64)
