"""Compute the smooth calibration error (Blasiok and Nakkiran 2023, arXiv 2309.12236): calibration
without bins.

The residuals p - y are smoothed over the forecast axis with a Gaussian kernel of width s reflected
at 0 and 1; smECE_s = integral over [0, 1] of |smoothed residual|, and smECE is its value at the
width where smECE_s = s. The reflected kernel is the heat kernel with insulated ends, so in the
cosine basis smoothing multiplies the k-th coefficient by exp(-(pi k s)^2 / 2): exact for masses
anywhere, also at the ends, where stated confidences of 100 % are. More than ten thousand distinct
forecasts are first shared between the nearest points of a grid of 2^16, which moves smECE by less
than 1e-6. ``relplot_smooth_ece`` is the authors' package instead. Its grid reflects without
doubling the end nodes, so half of the weight of forecasts at exactly 0 or 1 is lost; it is kept
only to check numbers published with it. The number does not show discrimination, nor the direction
of the error. NaN forecasts are skipped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dct
from scipy.signal import fftconvolve

from workbench.arrays import Bools, Floats
from workbench.measure.inputs import checked_probability
from workbench.measure.weighted import summed

_TERMS = 512
_RESOLUTION = 2.0**-16
_MOST_LOOKS = 100
# Rows computed together: few enough to stay in the processor's cache.
_BLOCK = 128
_MOST_VALUES = 10_000
_GRID = 2**16
_RELPLOT_NODES = 2000
_RELPLOT_MESH = 200
_RELPLOT_HALVINGS = 10
_RELPLOT_SMALLEST = 0.001


def smooth_ece(probability: ArrayLike, correct: ArrayLike) -> float:
    """Return smECE of ``probability`` [n] (0-1, NaN skipped) against ``correct`` [n]; NaN with no
    parsed forecast.

    Widths are resolved to 2^-16; structure of the residuals finer than 1/512 of the axis is not
    seen.
    """
    scores, labels = checked_probability(probability, correct)
    return float(SmoothEce(scores, labels)(np.ones((1, len(scores))))[0])


class SmoothEce:
    """The smECE of fixed forecasts, as a function of how often each question is counted: [r, n] ->
    [r].
    """

    def __init__(self, probability: Floats, correct: Bools) -> None:
        parsed = np.flatnonzero(~np.isnan(probability))
        self._order = parsed[np.argsort(probability[parsed], kind="stable")]
        scores = probability[self._order]
        self._values, self._starts = np.unique(scores, return_index=True)
        self._residual = scores - correct[self._order]
        few = len(self._values) <= _MOST_VALUES
        self._cosines = np.cos(np.pi * np.outer(self._values, np.arange(_TERMS))) if few else None

    def __call__(self, counts: Floats) -> Floats:
        drawn = counts[:, self._order]
        total = drawn.sum(axis=1)
        result = np.full(len(counts), np.nan)
        rows = np.flatnonzero(total > 0)
        if len(rows):
            weighted = drawn[rows] * self._residual / total[rows, None]
            found = self._coefficients(summed(weighted, self._starts))
            blocks = [
                _fixed_point(found[start : start + _BLOCK])
                for start in range(0, len(found), _BLOCK)
            ]
            result[rows] = np.concatenate(blocks)
        return result

    def _coefficients(self, mass: Floats) -> Floats:
        """Return the cosine coefficients [r, k] of residual ``mass`` [r, v]."""
        if self._cosines is not None:
            return mass @ self._cosines
        return np.stack([_by_grid(self._values, row) for row in mass])


def _by_grid(values: Floats, mass: Floats) -> Floats:
    """Return the cosine coefficients [k] of ``mass`` [v] shared between the two nearest of 2^16
    grid points, by one transform.
    """
    place = values * _GRID
    left = np.minimum(place.astype(np.int64), _GRID - 1)
    right = mass * (place - left)
    grid = np.bincount(left, mass - right, _GRID + 1) + np.bincount(left + 1, right, _GRID + 1)
    # The transform counts inner points twice.
    grid[[0, -1]] *= 2
    return dct(grid, type=1)[:_TERMS] / 2


def _fixed_point(coefficients: Floats) -> Floats:
    """Return the width where smECE at that width equals it; [r, k] -> [r].

    smECE_s falls with s and never below |mean residual|, so each evaluation at a width bounds the
    crossing from both sides: by the width and by the error found there. The next width is where the
    line through the last two crosses. Every fourth step halves the bounds, in case the line
    misleads. A row is done when its bounds are 2^-16 apart.
    """
    low, high = np.abs(coefficients[:, 0]), np.ones(len(coefficients))
    rows = np.flatnonzero(high - low > _RESOLUTION)
    width = (low + high) / 2
    before_width, before_error = np.full(len(low), np.nan), np.full(len(low), np.nan)
    for look in range(_MOST_LOOKS):
        if not len(rows):
            break
        here = width[rows]
        error = _smoothed_error(coefficients, here, rows)
        low[rows] = np.maximum(low[rows], np.minimum(here, error))
        high[rows] = np.minimum(high[rows], np.maximum(here, error))
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = (error - before_error[rows]) / (here - before_width[rows])
            ahead = (error - slope * here) / (1 - slope)
        inside = (ahead > low[rows]) & (ahead < high[rows])
        middle = (low[rows] + high[rows]) / 2
        width[rows] = np.where(inside, ahead, middle) if look % 4 != 3 else middle
        before_width[rows], before_error[rows] = here, error
        rows = rows[high[rows] - low[rows] > _RESOLUTION]
    return _smoothed_error(coefficients, high, np.arange(len(high)))


def _smoothed_error(coefficients: Floats, width: Floats, rows: NDArray[np.int64]) -> Floats:
    """Return the mean of |smoothed residual| at the midpoints of a uniform grid, of ``rows`` of
    ``coefficients`` [r, k] at their ``width``.
    """
    # Terms damped below 1e-16 in every row are zero already.
    alive = min(_TERMS, int(np.ceil(8.6 / (np.pi * max(width.min(), 1e-9)))) + 1)
    damping = np.exp(-((np.pi * np.outer(width, np.arange(alive))) ** 2) / 2)
    damped = np.zeros((len(rows), coefficients.shape[1]))
    np.multiply(coefficients[rows, :alive], damping, out=damped[:, :alive])
    found = dct(damped, type=3, axis=1, overwrite_x=True)
    return np.abs(found, out=found).mean(axis=1)


def relplot_smooth_ece(probability: ArrayLike, correct: ArrayLike) -> float:
    """Return smECE as relplot 1.0.3 computes it, grid included. It is only for checking numbers
    published with that package.
    """
    scores, labels = checked_probability(probability, correct)
    parsed = ~np.isnan(scores)
    scores, residual = scores[parsed], scores[parsed] - labels[parsed]
    if not len(scores):
        return float("nan")
    low, high = 0.0, 1.0
    for _ in range(_RELPLOT_HALVINGS):
        middle = (low + high) / 2
        if middle < _RELPLOT_SMALLEST or middle < _relplot_error(scores, residual, middle):
            low = middle
        else:
            high = middle
    return _relplot_error(scores, residual, high)


def _relplot_error(scores: Floats, residual: Floats, width: float) -> float:
    nodes = max(_RELPLOT_NODES, round(20 / width)) // 2 + 1
    mesh = np.linspace(0.0, 1.0, max(_RELPLOT_MESH, round(10 / width)))
    position = scores * (nodes - 1)
    left = np.clip(np.floor(position), 0, nodes - 2).astype(np.int64)
    share = position - left
    kernel = np.exp(-((np.linspace(-0.5, 0.5, nodes) / width) ** 2) / 2) / (
        np.sqrt(2 * np.pi) * width
    )

    def smoothed(mass: Floats) -> Floats:
        grid = np.bincount(left, mass * (1 - share), nodes) + np.bincount(
            left + 1, mass * share, nodes
        )
        # Mode "reflect" does not repeat the end nodes: this is where relplot loses half of their
        # weight.
        wide = fftconvolve(np.pad(grid, nodes - 1, mode="reflect"), kernel, mode="valid")
        return np.interp(mesh, np.linspace(0.0, 1.0, nodes), wide[nodes // 2 : nodes // 2 + nodes])

    return float(np.abs(smoothed(residual)).sum() / smoothed(np.ones_like(scores)).sum())
