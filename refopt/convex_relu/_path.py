"""The convex program for several weights of the regularisation."""

from refopt import _rng, _validate
from refopt.convex_relu._fit import fit_convex_relu


def convex_relu_path(X, y, betas, *, x0=None, rng=None, **options):
    r"""Fit networks for several weights beta, each from the solution before.

    Each fit is that of `fit_convex_relu`, with its objective and its certificate. With
    refinement, its default, a fit begins with the network and the dual point of the one
    before; without it all have the same activation patterns.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Samples by rows.
    y : array_like, shape (n,) or (n, C)
        Targets or labels.
    betas : sequence of float
        Weights of the regularisation, all positive; decreasing ones are the easier path.
    x0 : array or OptimizeResult, optional
        Where the first fit begins.
    rng : None, int or Generator, optional
        Source of the directions.
    **options
        All others of `fit_convex_relu`.

    Returns
    -------
    list of OptimizeResult
        One per beta, in the order of `betas`.

    Raises
    ------
    ValueError
        As `fit_convex_relu`; `betas` is empty.
    TypeError
        As `fit_convex_relu`; `betas` is a number.

    Notes
    -----
    An interior point method gains nothing from a start near a solution: without refinement
    its fits share the patterns only. Alternating directions begin with the weights, duals
    and penalty of the fit before.

    References
    ----------
    .. [1] A. Mishkin, A. Sahiner, M. Pilanci, Fast convex optimization for two-layer ReLU
       networks, ICML 2022.

    Examples
    --------
    >>> import refopt
    >>> X, y = [[1.0], [2.0], [3.0]], [0.0, 1.0, 2.0]
    >>> path = refopt.convex_relu_path(X, y, [1.0, 0.1], bias=True, rng=0)
    >>> path[0].fun > path[1].fun
    True
    """
    if not hasattr(betas, "__iter__"):
        raise TypeError(f"betas must be a sequence of numbers, got {betas!r}")
    betas = [_validate.positive(beta, "betas") for beta in betas]
    if not betas:
        raise ValueError("betas must have at least one entry, got none")
    generator, path = _rng.generator(rng), []
    for beta in betas:
        path.append(fit_convex_relu(X, y, beta=beta, x0=x0, rng=generator, **options))
        x0 = path[-1]
    return path
