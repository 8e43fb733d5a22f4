"""Activation patterns of ReLU gates."""

import itertools
import math
from typing import Any

import numpy as np

from refopt import _rng, _validate
from refopt_backends import resolve

# Entries of X below which compiled kernels are not woken for NumPy arrays.
SMALL = 1_000
SMALL_PRICED = 200  # and where prices are searched, in loops over rows
_MOST_PATTERNS = 200_000
_RANK = 1e-10


def relu_patterns(X, *, n, kind="gaussian", rng=None, backend=None):
    r"""Sample activation patterns of ReLU gates.

    A direction g has the pattern :math:`D_{ki} = 1[x_k^T g_i \ge 0]`. Patterns that
    occurred before and the pattern without an active sample are left out, so that there
    may be fewer than asked for.

    Parameters
    ----------
    X : array_like, shape (n_samples, d)
        Samples by rows.
    n : int
        Number of directions to draw.
    kind : {"gaussian", "conv"}, optional
        ``"gaussian"``: g ~ N(0, I). ``"conv"``: as that, and zero outside a window of
        adjacent features of random place and length.
    rng : None, int or Generator, optional
        Source of the directions, drawn on the host.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    D : bool array, shape (n_samples, P)
        Patterns by columns, P <= n.
    G : array, shape (d, P)
        Their directions.

    Raises
    ------
    ValueError
        `X` is empty, not 2-dimensional or not finite; `n` < 1; an unknown kind.
    TypeError
        Complex or non-numeric input.

    Notes
    -----
    One product of X with a d x n matrix.

    Examples
    --------
    >>> import refopt
    >>> D, G = refopt.relu_patterns([[1.0], [-1.0]], n=10, rng=0)
    >>> D.shape, G.shape
    ((2, 2), (1, 2))
    """
    xp, _, X = take_matrix(X, backend)
    n = _validate.count(n, "n", 1)
    kind = _validate.choice(kind, "kind", ("gaussian", "conv"))
    return sample(xp, X, n, kind, _rng.generator(rng))


def sample(xp: Any, X: Any, n: int, kind: str, rng: np.random.Generator) -> tuple[Any, Any]:
    """`relu_patterns` of arguments that are checked."""
    G = draw(xp, X, n, kind, rng)
    D = X @ G >= 0
    kept = xp.asarray(distinct(xp, D))
    return xp.take(D, kept, axis=1), xp.take(G, kept, axis=1)


def draw(xp: Any, X: Any, n: int, kind: str, rng: np.random.Generator) -> Any:
    """Directions as columns."""
    d = X.shape[1]
    G = rng.standard_normal((d, n))
    if kind == "conv":
        length = rng.integers(1, d + 1, n)
        start = rng.integers(0, d - length + 1)
        place = np.arange(d)[:, None]
        G = G * ((place >= start) & (place < start + length))
    return xp.asarray(G, dtype=X.dtype)


def distinct(xp: Any, D: Any) -> np.ndarray:
    """Places of the columns that are not all False and did not occur before."""
    packed = np.packbits(on_host(D), axis=0).T
    seen, kept = {bytes(packed.shape[1])}, []
    for place, column in enumerate(packed):
        key = column.tobytes()
        if key not in seen:
            seen.add(key)
            kept.append(place)
    return np.array(kept, dtype=np.int64)


def on_host(x: Any) -> np.ndarray:
    """A NumPy array, copied from a device if there is one."""
    return x.get() if hasattr(x, "get") else np.asarray(x)


def all_relu_patterns(X, *, backend=None):
    r"""Enumerate all activation patterns of ReLU gates.

    All columns :math:`1[X g \ge 0]` but the one without an active sample, over those g in
    the interior of their cells. Data in general position of rank d have
    :math:`2 \sum_{k<d} \binom{n-1}{k}` cells.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Samples by rows.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    bool array, shape (n, P)
        Patterns by columns.

    Raises
    ------
    ValueError
        `X` is empty, not 2-dimensional or not finite, or has more than 200 000 patterns.
    TypeError
        Complex or non-numeric input.

    Notes
    -----
    Cells are found from the lines (of rank - 1 dimensions fewer) where rank - 1 of the
    hyperplanes meet: each such line is surrounded by 2^(rank - 1) cells. Samples of zeros
    are active in no pattern, samples on one line through the origin are one hyperplane.

    Examples
    --------
    >>> import refopt
    >>> refopt.all_relu_patterns([[1.0, 0.0], [0.0, 1.0]]).shape
    (2, 3)
    """
    xp, _, X = take_matrix(X, backend)
    return xp.asarray(enumerate_patterns(np.asarray(on_host(X), dtype=np.float64)))


def enumerate_patterns(X: np.ndarray) -> np.ndarray:
    """All patterns of cells, by recursion over hyperplanes."""
    X = X / (np.abs(X).max() or 1.0)  # whose squares are numbers
    _, sizes, directions = np.linalg.svd(X, full_matrices=False)
    rank = int((sizes > _RANK * max(sizes[0], 1e-300)).sum()) if sizes.size else 0
    Z = X @ directions[:rank].T
    length = np.linalg.norm(Z, axis=1)
    real = length > _RANK * max(length.max(), 1e-300)
    normals = Z[real] / length[real][:, None]
    lines, to_line, sign = _lines(normals)
    bound = 2 * sum(math.comb(max(len(lines) - 1, 0), k) for k in range(rank))
    if bound > _MOST_PATTERNS:
        raise ValueError(f"X must have at most {_MOST_PATTERNS} patterns, got up to {bound}")
    cells = _cells(lines) if rank else np.zeros((1, 0), dtype=bool)
    D = np.zeros((len(X), len(cells)), dtype=bool)
    D[real] = (cells[:, to_line] == (sign > 0)).T
    return D[:, distinct(np, D)]


def _lines(normals):
    """Hyperplanes through the origin, the one of each sample, and on which side it points."""
    lines: list[np.ndarray] = []
    to_line, sign = np.empty(len(normals), dtype=np.int64), np.empty(len(normals))
    for k, normal in enumerate(normals):
        cosines = np.array(lines) @ normal if lines else np.empty(0)
        same = np.flatnonzero(np.abs(cosines) > 1 - 1e-14)
        if same.size:
            to_line[k], sign[k] = same[0], np.sign(cosines[same[0]])
        else:
            to_line[k], sign[k] = len(lines), 1.0
            lines.append(normal)
    return np.array(lines).reshape(len(lines), normals.shape[1]), to_line, sign


def _cells(lines):
    """Signs (cells, lines) of the cells of a central arrangement of full rank.

    Every cell has a ray where rank - 1 hyperplanes or more meet; the cells at a ray are
    those of the arrangement of the hyperplanes through it, of one rank less.
    """
    m, rank = lines.shape
    if rank == 1:
        first = lines[:, 0] > 0
        return np.array([first, ~first])
    found: dict[bytes, np.ndarray] = {}
    rays: set[bytes] = set()
    for subset in itertools.combinations(range(m), rank - 1):
        _, sizes, directions = np.linalg.svd(lines[list(subset)])
        if sizes[-1] <= _RANK:
            continue
        heights = lines @ directions[-1]
        through = np.abs(heights) <= _RANK
        if through.tobytes() in rays:
            continue
        rays.add(through.tobytes())
        if through.sum() == rank - 1:
            local = np.array(list(itertools.product((False, True), repeat=rank - 1)))
        else:
            local = _cells(lines[through] @ directions[:-1].T)
        for side in (heights > 0, heights < 0):
            cells = np.tile(side, (len(local), 1))
            cells[:, through] = local
            found.update((cell.tobytes(), cell) for cell in cells)
    return np.array(list(found.values()))


def sampled_gates_bound(n, xi, psi):
    r"""How many sampled patterns make a further one useless, in the scenario sense.

    With at least

    .. math::
        P \ge \min\left\{ \frac{n+1}{\psi \xi} - 1,\;
        \frac{2}{\xi} (n + 1 - \ln \psi) \right\}

    independent patterns, with confidence 1 - psi a further random pattern improves the
    optimum of the sampled program with probability xi at most. It says nothing about the
    distance to the optimum over all patterns.

    Parameters
    ----------
    n : int
        Number of samples.
    xi : float
        Probability of an improvement, between 0 and 1.
    psi : float
        One minus the confidence, between 0 and 1.

    Returns
    -------
    int
        The number of patterns.

    Raises
    ------
    ValueError
        `n` < 1, or `xi` or `psi` outside (0, 1).

    References
    ----------
    .. [1] Y. Bai, T. Gautam, S. Sojoudi, Efficient global optimization of two-layer ReLU
       networks: quadratic-time algorithms and adversarial training, SIAM Journal on
       Mathematics of Data Science, 2023.

    Examples
    --------
    >>> import refopt
    >>> refopt.sampled_gates_bound(1000, 0.1, 0.05)
    20080
    """
    n = _validate.count(n, "n", 1)
    xi, psi = _validate.positive(xi, "xi"), _validate.positive(psi, "psi")
    for value, name in ((xi, "xi"), (psi, "psi")):
        if value >= 1:
            raise ValueError(f"{name} must be below 1, got {value}")
    return math.ceil(min((n + 1) / (psi * xi) - 1, 2 / xi * (n + 1 - math.log(psi))))


def take_matrix(X: Any, backend: str | None) -> tuple[Any, Any, Any]:
    """Namespace, kernels, and X as a finite matrix that is not empty."""
    X = _validate.as_array(X, "X")
    xp, kernels = resolve(X, backend=backend, small=X.size < SMALL, names=("X",))
    X = _validate.all_finite(xp, _validate.real_array(xp, X, "X", 2), "X")
    if X.size == 0:
        raise ValueError(f"X must have a row and a column, got shape {tuple(X.shape)}")
    return xp, kernels, X
