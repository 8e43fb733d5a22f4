"""The linear multilevel network: a V-cycle with a dozen trained numbers."""

from typing import Any

import numpy as np

from refopt import _validate
from refopt.deep_conjugate._model_files import read_model, write_model
from refopt.deep_conjugate._poisson_grid import SMALL, PoissonGrid
from refopt_backends import linear_operator, resolve

# A row per level, the last for all coarser ones: weights of the sweeps (the finest level has
# one), factor of the coarse correction, scale of the links to air on the next level.
TRAINED = (
    (1.1757, 0.0, 1.028, 0.7813),
    (1.1245, 2.9956, 1.0074, 0.7436),
    (1.1332, 5.109, 1.0023, 0.7118),
)
HAND = ((1.2, 0.0, 1.0, 0.8), (1.1, 2.05, 1.0, 0.75), (1.1, 2.05, 1.0, 0.7))


class MultilevelNet:
    r"""A linear network in the shape of a V-cycle, symmetric and positive definite.

    On a pressure matrix it is r -> M r with M near A^-1, computed in float32 from the cells
    alone: a model for `deep_conjugate_direction` that follows a geometry which changes with
    every frame. One set of numbers serves grids of every size in 1 to 3 dimensions, obstacles,
    free surfaces and coefficients.

    Parameters
    ----------
    params : array, shape (3, 4), optional
        Rows for the finest level, the next, and all coarser ones; columns the weights of the
        first and second sweep (the finest level has one: 0), the factor of the correction that
        comes from the coarser levels, and the scale of links to air on the next level. The
        trained ones by default.

    Attributes
    ----------
    params : array, shape (3, 4)

    Raises
    ------
    ValueError
        `params` is of another shape or not finite, or has a second sweep on the finest level.

    See Also
    --------
    PoissonGrid : The systems that it is for.

    Notes
    -----
    Cells with an even sum of indices have neighbours with an odd sum only, which are eliminated
    exactly: with S what remains of A on the even cells, D its diagonal part and
    :math:`p(t) = \prod_k (1 - w_k t)`,

    .. math::

        M = (I - p(K)^2)\, S^{-1} + s\, p(K)\, P M_c P^T p(K)^T, \qquad K = D^{-1} S.

    The spectrum of K lies in (0, 1], so that M is positive definite for any factor s > 0 and
    any positive definite coarse M_c where \|p\| < 1 there, which `is_stable` tests. Other
    parameters need ``safeguard=True``. The coarse
    matrix joins the centres of blocks of 2 x 2 x 2 cells by conductances in series, and is of
    the same kind as A. A block that a thin wall divides counts once for each of its parts.

    A V-cycle costs some four products with A and reads float32 only. Memory at 256^3: 34 to
    74 bytes per cell, with the iteration and the solution.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse.linalg import cg
    >>> from refopt import MultilevelNet, PoissonGrid
    >>> from refopt.problems import pressure_scene
    >>> A = PoissonGrid(pressure_scene("smoke", 16))
    >>> M = MultilevelNet().setup(A)
    >>> b = np.sin(np.arange(A.n))
    >>> x, info = cg(A.aslinearoperator(), b, M=M.aspreconditioner(), maxiter=10)
    >>> info
    0
    """

    def __init__(self, params: Any = None):
        params = _validate.as_array(TRAINED if params is None else params, "params")
        resolve(params, small=True, names=("params",))
        params = _validate.real_array(np, params, "params", 2)
        params = np.array(_validate.all_finite(np, params, "params"), dtype=np.float64)
        if params.shape != (3, 4):
            raise ValueError(f"params must have shape (3, 4), got {params.shape}")
        if params[0, 1] != 0.0:
            raise ValueError(
                f"params[0, 1] must be 0, as the finest level has one sweep, got {params[0, 1]:g}"
            )
        self.params = params

    def __repr__(self):
        return f"MultilevelNet({self.params.tolist()})"

    def is_stable(self):
        """Whether M is positive definite on every system.

        Returns
        -------
        bool
            True if the polynomials of the sweeps are below 1 in size on (0, 1] and no factor
            or scale is negative.
        """
        return all(
            largest_factor(w1, w2) < 1.0 and factor > 0.0 and scale >= 0.0
            for w1, w2, factor, scale in self.params
        )

    def setup(self, A):
        """The network on a system.

        Parameters
        ----------
        A : PoissonGrid
            The system.

        Returns
        -------
        callable
            r (n,) -> M r, with ``is_linear_spd``, which says whether the parameters are stable,
            and ``aspreconditioner()``, a LinearOperator for SciPy's own solvers.

        Raises
        ------
        TypeError
            `A` is no PoissonGrid.

        Examples
        --------
        >>> import numpy as np
        >>> from refopt import MultilevelNet, PoissonGrid
        >>> M = MultilevelNet().setup(PoissonGrid(np.ones((4, 4), int), outside="air"))
        >>> M(np.ones(16)).shape
        (16,)
        """
        if not isinstance(A, PoissonGrid):
            raise TypeError(
                f"A must be a PoissonGrid, got {type(A).__name__}; for other matrices an "
                "algebraic multigrid preconditioner is the better model"
            )
        return BoundNet(self, A)

    def save(self, file):
        """Write the parameters as an .npz file.

        Parameters
        ----------
        file : str, path or file object
            Names without the ending ``.npz`` get it.
        """
        write_model(file, "MultilevelNet", self.params)

    @classmethod
    def load(cls, file):
        """The network that `save` wrote.

        Parameters
        ----------
        file : str, path or file object
            Where it is.

        Returns
        -------
        MultilevelNet

        Raises
        ------
        ValueError
            The file holds something else.
        """
        return cls(read_model(file, "MultilevelNet")[0])


class BoundNet:
    """A `MultilevelNet` on a system, a callable r -> M r.

    Parameters
    ----------
    net : MultilevelNet
    A : PoissonGrid

    Attributes
    ----------
    is_linear_spd : bool
    net : MultilevelNet
    A : PoissonGrid
    hierarchy
        The levels, in the backend's layout.
    """

    def __init__(self, net: MultilevelNet, A: PoissonGrid):
        self.A, self.net, self.is_linear_spd = A, net, net.is_stable()
        self.xp, self.kernels = resolve(A.types, small=A.types.size < SMALL, names=("cells",))
        self.hierarchy = self.kernels.vcycle_setup(
            A.types, A.degree, A.dirichlet, A.face_weights, net.params
        )

    def __call__(self, r: Any) -> Any:
        """M r in r's type."""
        A, xp = self.A, self.xp
        if tuple(r.shape) != (A.n,):
            raise ValueError(
                f"r must have shape ({A.n},), as the network was set up for another grid, got "
                f"{tuple(r.shape)}"
            )
        largest = float(xp.max(xp.abs(r))) if A.n else 0.0
        if not 0.0 < largest < np.inf:
            return xp.asarray(r, copy=True)
        z = A.unpad(self.kernels.vcycle(self.hierarchy, A.pad(r / largest, xp.float32)))
        return xp.astype(z, r.dtype) * (largest / A.scale)

    def require_stable(self) -> None:
        """ValueError where M need not be positive definite."""
        if not self.is_linear_spd:
            raise ValueError(
                "params must be stable: |(1 - w1 t)(1 - w2 t)| < 1 for all t in (0, 1] in every "
                "row, as is_stable() tests; deep_conjugate_direction takes others with "
                f"safeguard=True, got {self.net!r}"
            )

    def aspreconditioner(self) -> Any:
        """M as a LinearOperator, for SciPy's, or CuPy's, own solvers; ValueError if not stable."""
        self.require_stable()
        A, xp = self.A, self.xp
        return linear_operator(
            lambda v: self(xp.reshape(v, (-1,))), A.shape, xp.empty(0, dtype=A.dtype)
        )


def largest_factor(w1: float, w2: float) -> float:
    """A number below 1 just where \\|(1 - w1 t)(1 - w2 t)\\| < 1 for all t in (0, 1]."""
    total, product = w1 + w2, w1 * w2
    at_one = (1.0 - w1) * (1.0 - w2)
    values = [abs(at_one)]
    if product > 0.0 and total < 2.0 * product:  # a minimum within
        values.append(abs(1.0 - total * total / (4.0 * product)))
    if total <= 0.0:  # 1 at t = 0, and rising
        values.append(1.0)
    return max(values)
