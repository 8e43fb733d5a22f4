"""The concave dual function and the marginal error, as functions of the potentials."""

import math

from refopt import _validate
from refopt.transport._problem import TransportProblem
from refopt_backends import resolve


def lyapunov(f, g, C, a, b, reg, *, backend=None):
    r"""Lyapunov potential of Sinkhorn's iteration: the dual of entropic transport.

    .. math:: D(f, g) = \langle a, f\rangle + \langle b, g\rangle
              - \mathrm{reg} \sum_{ij} \exp((f_i + g_j - C_{ij})/\mathrm{reg})

    Concave; each Sinkhorn half-step raises it by ``reg`` times a
    Kullback-Leibler divergence between marginals. Its gradient is
    ``(a - P1, b - P'1)``. The paper writes the exponent with an extra -1: for
    ``x = f + reg, y = g`` its potential is ``D + reg * sum(a)``.

    Parameters
    ----------
    f : array_like, shape (n,)
        Row potentials; ``-inf`` is allowed where ``a`` is zero.
    g : array_like, shape (m,)
        Column potentials; ``-inf`` is allowed where ``b`` is zero.
    C : array_like, shape (n, m), or PointCloudCost
        Cost.
    a, b : array_like, shape (n,) and (m,)
        Masses, or None for uniform ones.
    reg : float
        Regularisation, absolute.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        As `sinkhorn_newton`; potentials of wrong length or not finite.

    Notes
    -----
    One pass over all pairs.

    References
    ----------
    .. [1] X. Tang et al., Accelerating Sinkhorn algorithm with sparse Newton
       iterations, ICLR 2024, arXiv:2401.12253.

    Examples
    --------
    >>> import refopt
    >>> C, a, b = [[0.0, 1.0], [1.0, 0.0]], [0.5, 0.5], [0.5, 0.5]
    >>> res = refopt.sinkhorn(C, a, b, reg=0.5)
    >>> bool(abs(refopt.lyapunov(res.f, res.g, C, a, b, 0.5) - res.fun) < 1e-12)
    True
    """
    problem, f, g, r, _ = _marginals(f, g, C, a, b, reg, backend)
    xp = problem.xp
    value = _inner(xp, problem.user_a, f, "a") + _inner(xp, problem.user_b, g, "b")
    return value - problem.reg * float(xp.sum(r))


def marginal_error(f, g, C, a, b, reg, *, backend=None):
    r"""How far a plan given by potentials is from its marginals.

    .. math:: \|P 1 - a\|_1 + \|P^T 1 - b\|_1, \qquad
              P_{ij} = \exp((f_i + g_j - C_{ij})/\mathrm{reg})

    The stopping measure of this package, recomputed from scratch.

    Parameters
    ----------
    f : array_like, shape (n,)
        Row potentials.
    g : array_like, shape (m,)
        Column potentials.
    C : array_like, shape (n, m), or PointCloudCost
        Cost.
    a, b : array_like, shape (n,) and (m,)
        Masses, or None for uniform ones.
    reg : float
        Regularisation, absolute.
    backend : str, optional
        See `refopt_backends.resolve`.

    Returns
    -------
    float
        Absolute: between 0 and about twice the mass near a solution.

    Raises
    ------
    ValueError, TypeError
        As `lyapunov`.

    Notes
    -----
    One pass over all pairs.

    References
    ----------
    .. [1] X. Tang et al., Accelerating Sinkhorn algorithm with sparse Newton
       iterations, ICLR 2024, arXiv:2401.12253.

    Examples
    --------
    >>> import refopt
    >>> C, a, b = [[0.0, 1.0], [1.0, 0.0]], [0.5, 0.5], [0.5, 0.5]
    >>> res = refopt.sinkhorn(C, a, b, reg=0.5)
    >>> refopt.marginal_error(res.f, res.g, C, a, b, 0.5) <= 1e-9
    True
    """
    problem, _, _, r, c = _marginals(f, g, C, a, b, reg, backend)
    xp = problem.xp
    rows = float(xp.sum(xp.abs(r - problem.user_a)))
    return rows + float(xp.sum(xp.abs(c - problem.user_b)))


def _marginals(f, g, C, a, b, reg, backend):
    """The problem, the checked potentials and the marginals of their plan."""
    problem = TransportProblem(C, a, b, reg, backend=backend)
    xp = problem.xp
    f = _potential(xp, f, "f", problem.user_a)
    g = _potential(xp, g, "g", problem.user_b)
    cost = problem.user_cost.by_rows().arguments
    r, c, _ = problem.kernels.plan_marginals(cost, f, g, problem.reg)
    return problem, f, g, r, c


def _potential(xp, potential, name, mass):
    potential = _validate.as_array(potential, name)
    resolve(mass, potential, names=("C", name), backend="reference")
    potential = _validate.real_array(xp, potential, name, 1)
    if potential.shape != mass.shape:
        raise ValueError(f"{name} must have {mass.shape[0]} entries, got {potential.shape[0]}")
    potential = xp.astype(potential, xp.float64)
    absent = (potential == -math.inf) & (mass == 0)
    _validate.moderate(xp, xp.where(absent, 0.0, potential), name)
    return potential


def _inner(xp, mass, potential, name):
    """<mass, potential> where a potential of -inf has no mass."""
    _validate.moderate(xp, mass, name)
    return float(xp.sum(mass * xp.where(mass > 0, potential, 0.0)))
