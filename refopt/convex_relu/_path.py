"""The convex program for several weights of the regularisation."""

from refopt import _rng, _validate
from refopt.convex_relu import _gates
from refopt.convex_relu._fit import fit_convex_relu
from refopt_backends import namespace_of


def convex_relu_path(X, y, betas, *, gates=None, n_gates=100, gate_kind="gaussian", bias=False,
                     rng=None, **options):  # fmt: skip
    r"""Fit networks for several weights beta over the same activation patterns.

    Each fit is that of `fit_convex_relu`, with its objective and its certificate.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Samples by rows.
    y : array_like, shape (n,)
        Targets or labels.
    betas : sequence of float
        Weights of the regularisation, all positive.
    gates : array_like, optional
        As for `fit_convex_relu`.
    n_gates : int, optional
        Number of directions, drawn once.
    gate_kind : str, optional
        As for `fit_convex_relu`.
    bias : bool, optional
        As for `fit_convex_relu`.
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
        As `fit_convex_relu`.

    Notes
    -----
    An interior point method gains nothing from a start near a solution: the fits share
    the patterns only.

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
    betas = [_validate.positive(beta, "betas") for beta in betas]
    if not betas:
        raise ValueError("betas must have at least one entry, got none")
    if gates is None and gate_kind != "all":
        _, _, checked = _gates.take_matrix(X, options.get("backend"))
        xp = namespace_of(checked)
        if bias:
            checked = xp.concat(
                [checked, xp.ones((checked.shape[0], 1), dtype=checked.dtype)], axis=1
            )
        n_gates = _validate.count(n_gates, "n_gates", 1)
        kind = _validate.choice(gate_kind, "gate_kind", ("gaussian", "conv", "all"))
        _, gates = _gates.sample(xp, checked, n_gates, kind, _rng.generator(rng))
    common = {"gates": gates, "gate_kind": gate_kind, "bias": bias} | options
    return [fit_convex_relu(X, y, beta=beta, **common) for beta in betas]
