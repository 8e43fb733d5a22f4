"""Optimal-transport instances: random assignment, digit images, point clouds, unequal sizes.

Every generator is a function of its sizes and its seed only. The public names
(``assign-500``, ``digits-l1-20-45``, ``cloud2-800-1e-3``, ...) are read by
`transport_instance`.
"""

import re
from dataclasses import dataclass

import numpy as np

from .digits import digit_image

__all__ = [
    "TransportProblem",
    "assign",
    "cloud2",
    "cloud50",
    "digits",
    "gaussian_grid",
    "gaussian_grid_cost",
    "ladder",
    "rect",
    "transport_instance",
]


@dataclass(frozen=True, eq=False)
class TransportProblem:
    """Entropic optimal transport: ``min <P, C> - reg H(P)`` over plans P with marginals a and b.

    Parameters
    ----------
    name : str
        The instance's public name.
    C : ndarray, shape (n, m), or None
        Cost matrix. None where only the points were asked for.
    a, b : ndarray, shape (n,) and (m,)
        Row and column masses, each of sum 1.
    reg : float
        Regularisation, absolute.
    X, Y : ndarray, shape (n, d) and (m, d), or None
        The points behind the cost, where there are any:
        ``C[i, j] = scale * metric(X[i], Y[j])``.
    metric : {"sqeuclidean", "cityblock"} or None
        The metric between points.
    scale : float
        The factor in front of the metric.
    """

    name: str
    C: np.ndarray | None
    a: np.ndarray
    b: np.ndarray
    reg: float
    X: np.ndarray | None = None
    Y: np.ndarray | None = None
    metric: str | None = None
    scale: float = 1.0

    @property
    def shape(self):
        """Number of rows and columns of the plan."""
        return self.a.size, self.b.size


def assign(n, eta=1200, seed=1):
    """Draw a random assignment: n x n independent costs, uniform on [0, 1].

    Parameters
    ----------
    n : int
        Number of rows and of columns.
    eta : float, default 1200
        Inverse regularisation, ``reg = 1 / eta``.
    seed : int, default 1
        Seed of `numpy.random.default_rng`.

    Returns
    -------
    TransportProblem
        With uniform marginals.
    """
    C = np.random.default_rng(seed).random((n, n))
    name = f"assign-{n}" + _eta_suffix(eta)
    return TransportProblem(name, C, _uniform(n), _uniform(n), 1 / eta)


def digits(norm, i, j, background=True, eta=1200):
    """Take two handwritten digits as mass distributions on a 28 x 28 pixel grid.

    Parameters
    ----------
    norm : {"l1", "l2"}
        Ground cost between pixels: city-block distance or squared Euclidean
        distance, divided by its maximum.
    i, j : int
        Indices of the images, see `load_digits`.
    background : bool, default True
        Whether to spread a hundredth of the mass evenly over all pixels.
        Without it, empty pixels have zero mass.
    eta : float, default 1200
        Inverse regularisation, ``reg = 1 / eta``.

    Returns
    -------
    TransportProblem
        With 784 rows and columns.
    """
    if norm not in ("l1", "l2"):
        raise ValueError(f'norm must be "l1" or "l2"; got {norm!r}')
    a, b = _image_mass(i, background), _image_mass(j, background)
    pixels = np.indices((28, 28)).reshape(2, -1).T.astype(float)
    offsets = pixels[:, None, :] - pixels[None, :, :]
    if norm == "l1":
        metric, C = "cityblock", np.abs(offsets).sum(-1)
    else:
        metric, C = "sqeuclidean", (offsets**2).sum(-1)
    top = C.max()
    name = f"digits-{norm}-{i}-{j}" + ("" if background else "-nobg") + _eta_suffix(eta)
    return TransportProblem(name, C / top, a, b, 1 / eta, pixels, pixels, metric, 1 / top)


def cloud2(n, rel, seed=1, dense=True):
    """Draw points of the unit square against points of a ring, squared Euclidean cost.

    Parameters
    ----------
    n : int
        Number of points on either side.
    rel : float
        Regularisation relative to the largest cost.
    seed : int, default 1
        Seed of `numpy.random.default_rng`.
    dense : bool, default True
        Whether to build the n x n matrix. Without it ``C`` is None, and sizes
        are bounded by the points alone.

    Returns
    -------
    TransportProblem
        With uniform marginals.
    """
    rng = np.random.default_rng(seed)
    X = rng.random((n, 2))
    t = rng.random(n) * 2 * np.pi
    Y = 0.5 + np.column_stack((np.cos(t), np.sin(t))) * (0.3 + 0.1 * rng.random(n))[:, None]
    if dense:
        return _cloud("cloud2", X, Y, rel)
    return TransportProblem(
        f"cloud2-{n}-{_short(rel)}", None, _uniform(n), _uniform(n),
        rel * _largest_sqeuclidean(X, Y), X, Y, "sqeuclidean",
    )  # fmt: skip


def cloud50(n, rel, seed=1):
    """Draw two Gaussian clouds in 50 dimensions, one isotropic and one not, squared Euclidean cost.

    Parameters
    ----------
    n : int
        Number of points on either side.
    rel : float
        Regularisation relative to the largest cost.
    seed : int, default 1
        Seed of `numpy.random.default_rng`.

    Returns
    -------
    TransportProblem
        With uniform marginals.
    """
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 50))
    Y = rng.standard_normal((n, 50)) * rng.uniform(0.5, 1.5, 50) + 0.5
    return _cloud("cloud50", X, Y, rel)


def rect(n, m, rel, seed=1):
    """Draw unequal sizes, duplicated points and masses down to 1e-12, in three dimensions.

    Parameters
    ----------
    n, m : int
        Number of rows and columns. A tenth of the n points coincide.
    rel : float
        Regularisation relative to the largest cost.
    seed : int, default 1
        Seed of `numpy.random.default_rng`.

    Returns
    -------
    TransportProblem
        With Dirichlet(1/2) marginals.
    """
    rng = np.random.default_rng(seed)
    X = rng.random((n, 3))
    X[n // 2 : n // 2 + n // 10] = X[0]
    Y = rng.random((m, 3)) ** 2
    a = rng.dirichlet(np.full(n, 0.5)) + 1e-12
    b = rng.dirichlet(np.full(m, 0.5)) + 1e-12
    C = _sqeuclidean(X, Y)
    name = f"rect-{n}-{m}-{_short(rel)}"
    return TransportProblem(name, C, a / a.sum(), b / b.sum(), rel * C.max(), X, Y, "sqeuclidean")


def ladder(n, rel, seed=1):
    """Draw two uniform clouds in the unit square, for descending a ladder of regularisations.

    Parameters
    ----------
    n : int
        Number of points on either side.
    rel : float
        Regularisation relative to the largest cost.
    seed : int, default 1
        Seed of `numpy.random.default_rng`.

    Returns
    -------
    TransportProblem
        With uniform marginals. For n = 200 and seed 1 the unregularised cost
        is 6.976438084e-03.
    """
    rng = np.random.default_rng(seed)
    X = rng.random((n, 2))
    Y = rng.random((n, 2))
    return _cloud("ladder", X, Y, rel)


def gaussian_grid(n=1401, s1=1.0, s2=0.7, mu=0.5, reg=0.3, half_width=7.0):
    """Put N(0, s1^2) and N(mu, s2^2) on an even grid, squared cost.

    The grid reaches far enough into the tails, and the trapezoidal rule is so
    accurate on Gaussians, that the continuous problem's closed form
    (`gaussian_grid_cost`) holds to about 1e-10 with the default values.

    Parameters
    ----------
    n : int, default 1401
        Number of grid points.
    s1, s2 : float
        Standard deviations.
    mu : float
        Mean of the second distribution.
    reg : float
        Regularisation, absolute.
    half_width : float
        The grid is ``[-half_width, half_width]``.

    Returns
    -------
    TransportProblem
        With the grid as both point sets.
    """
    x = np.linspace(-half_width, half_width, n)
    a = np.exp(-0.5 * (x / s1) ** 2)
    b = np.exp(-0.5 * ((x - mu) / s2) ** 2)
    C = (x[:, None] - x[None, :]) ** 2
    points = x[:, None]
    return TransportProblem(
        f"gaussian-{n}", C, a / a.sum(), b / b.sum(), reg, points, points, "sqeuclidean"
    )


def gaussian_grid_cost(s1=1.0, s2=0.7, mu=0.5, reg=0.3):
    """Return ``<P, C>`` of the entropic plan between N(0, s1^2) and N(mu, s2^2).

    The plan is Gaussian with covariance ``k`` between its two coordinates,

        ``k = (sqrt(reg^2 + 16 s1^2 s2^2) - reg) / 4``,

    and ``<P, C> = mu^2 + s1^2 + s2^2 - 2 k``.

    Parameters
    ----------
    s1, s2, mu, reg : float
        As in `gaussian_grid`.

    Returns
    -------
    float
        The transport cost of the continuous problem.
    """
    k = (np.sqrt(reg**2 + 16 * s1**2 * s2**2) - reg) / 4
    return float(mu**2 + s1**2 + s2**2 - 2 * k)


_NUMBER = r"\d+(?:\.\d+)?(?:e[-+]?\d+)?"
_GRAMMAR = {
    "assign-N[-eETA]": r"assign-(?P<n>\d+)(?:-e(?P<eta>\d+))?",
    "digits-(l1|l2)-I-J[-nobg][-eETA]":
        r"digits-(?P<norm>l[12])-(?P<i>\d+)-(?P<j>\d+)(?P<nobg>-nobg)?(?:-e(?P<eta>\d+))?",
    "(cloud2|cloud50|ladder)-N-REL":
        rf"(?P<family>cloud2|cloud50|ladder)-(?P<n>\d+)-(?P<rel>{_NUMBER})",
    "rect-N-M-REL": rf"rect-(?P<n>\d+)-(?P<m>\d+)-(?P<rel>{_NUMBER})",
}  # fmt: skip


def transport_instance(name, seed=1):
    """Build the instance that a public name stands for.

    Parameters
    ----------
    name : str
        ``assign-N[-eETA]``, ``digits-(l1|l2)-I-J[-nobg][-eETA]``,
        ``(cloud2|cloud50|ladder)-N-REL`` or ``rect-N-M-REL``. ETA is
        ``1 / reg`` (1200 unless given); REL is reg relative to the largest
        cost.
    seed : int, default 1
        Seed of the generator. The digits are data and need none.

    Returns
    -------
    TransportProblem
        Its ``name`` is the one asked for.

    Examples
    --------
    >>> from refopt.problems import transport_instance
    >>> problem = transport_instance("rect-600-350-1e-3")
    >>> problem.C.shape
    (600, 350)
    """
    for pattern in _GRAMMAR.values():
        match = re.fullmatch(pattern, name)
        if match:
            break
    else:
        raise ValueError(f"name must be one of {', '.join(_GRAMMAR)}; got {name!r}")
    part = match.groupdict()
    eta = int(part.get("eta") or 1200)
    if "norm" in part:
        return digits(part["norm"], int(part["i"]), int(part["j"]), not part["nobg"], eta)
    n = int(part["n"])
    if "m" in part:
        return rect(n, int(part["m"]), float(part["rel"]), seed)
    if "family" in part:
        family = {"cloud2": cloud2, "cloud50": cloud50, "ladder": ladder}[part["family"]]
        return family(n, float(part["rel"]), seed)
    return assign(n, eta, seed)


def _cloud(family, X, Y, rel):
    C = _sqeuclidean(X, Y)
    n = len(X)
    name = f"{family}-{n}-{_short(rel)}"
    return TransportProblem(name, C, _uniform(n), _uniform(n), rel * C.max(), X, Y, "sqeuclidean")


def _uniform(n):
    return np.full(n, 1 / n)


def _image_mass(index, background):
    ink = digit_image(index).ravel()
    mass = ink / ink.sum() + (0.01 / ink.size if background else 0.0)
    return mass / mass.sum()


def _sqeuclidean(X, Y):
    squares = (X**2).sum(1)[:, None] + (Y**2).sum(1)[None, :]
    return np.maximum(squares - 2 * X @ Y.T, 0)


def _largest_sqeuclidean(X, Y):
    """Largest squared distance; a convex function is largest at a hull's corner."""
    from scipy.spatial import ConvexHull

    return _sqeuclidean(X[ConvexHull(X).vertices], Y[ConvexHull(Y).vertices]).max()


def _eta_suffix(eta):
    return "" if eta == 1200 else f"-e{eta:g}"


def _short(rel):
    """1e-3 rather than 0.001 or 1e-03."""
    mantissa, exponent = f"{rel:e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
