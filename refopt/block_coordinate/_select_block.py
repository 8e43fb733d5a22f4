"""Selection rules and the prediction of active sets, as users call them."""

from refopt import _rng, _validate
from refopt.block_coordinate._selection import NAMES, SMOOTH, Selector, without_zeros
from refopt.block_coordinate._units import exponent, scaled
from refopt.block_coordinate.problems import Problem
from refopt.penalties import Penalty, Zero
from refopt_backends import resolve


def select_block(g, L, tau, rule="gs-q", *, x=None, prox=None, diag="lipschitz", H=None, rng=None):
    r"""Choose the block of `tau` coordinates that a rule thinks best.

    ========= ==============================================================
    rule      the `tau` largest of
    ========= ==============================================================
    gs        :math:`|g_i|`
    gsd       :math:`g_i^2/D_i`
    gsl       the blocks by :math:`\sum_b g_i^2/\sum_b L_i` (Dinkelbach)
    gsq       the blocks by :math:`g_b^T H_b^{-1} g_b` (hard thresholding;
              gsq-omp: orthogonal matching), never less than by gsd
    gs-q      :math:`-\min_d g_i d + \tfrac{L_i}2 d^2 + h_i(x_i+d) - h_i(x_i)`
    gs-r      \|d_i\| of that minimiser
    gs-s      :math:`\mathrm{dist}(-g_i, \partial h_i(x_i))`
    random    nothing: uniform
    lipschitz nothing: probabilities proportional to :math:`L_i`
    ========= ==============================================================

    Parameters
    ----------
    g : array_like, shape (p,)
        Gradient of the smooth part.
    L : array_like, shape (p,)
        Lipschitz constants of its entries; coordinates with 0 are never chosen.
    tau : int
        Size of the block.
    rule : str, optional
        See above.
    x : array_like, shape (p,), optional
        The point, which gs-q, gs-r and gs-s look at where `prox` is given.
    prox : object of `refopt.penalties`, optional
        The separable term h; none by default.
    diag : "lipschitz" or array_like, shape (p,), optional
        :math:`D`: L, or for example the row sums of \|H\|.
    H : array_like, shape (p, p), optional
        The matrix of gsq and gsq-omp.
    rng : None, int or numpy.random.Generator, optional
        For random and lipschitz.

    Returns
    -------
    array of int
        The block in increasing order: `tau` coordinates, or all with L > 0 if fewer.

    Raises
    ------
    ValueError
        Unknown rules, wrong shapes, gsq without H, gs rules with a penalty,
        "mi" and "cyclic", which need fixed blocks or a memory.
    TypeError
        Arrays of different libraries, complex numbers, another `prox`.

    See Also
    --------
    minimize_bcd : Block coordinate descent with these rules.

    Notes
    -----
    O(p), but for gsq (ten products with H) and gsq-omp (`tau` of them).

    References
    ----------
    .. [1] J. Nutini, I. Laradji, M. Schmidt, Let's make block coordinate descent
       converge faster, JMLR 23(131), 2022, on greedy rules with variable blocks.

    Examples
    --------
    >>> import refopt
    >>> g, L = [3.0, -2.0, 1.0, 0.5], [9.0, 1.0, 0.1, 1.0]
    >>> refopt.select_block(g, L, 2, "gs")
    array([0, 1])
    >>> refopt.select_block(g, L, 2, "gsd")
    array([1, 2])
    """
    g, L = _validate.as_array(g, "g"), _validate.as_array(L, "L")
    xp, kernels = resolve(g, L, backend=None, small=True, names=("g", "L"))
    known = tuple(r for r in NAMES if r not in ("mi", "cyclic", "permuted-cyclic"))
    _validate.choice(rule, "rule", known)
    penalty = Zero() if prox is None else prox
    if not isinstance(penalty, Penalty):
        kind = type(prox).__name__
        raise TypeError(f"prox must be an object of refopt.penalties, got {kind}")
    if rule in SMOOTH and not penalty.smooth:
        raise ValueError(f'rule "{rule}" is for smooth problems; with prox use "gs-q"')
    tau = _validate.count(tau, "tau", least=1)
    g = _validate.all_finite(xp, _validate.real_array(xp, g, "g", 1), "g")
    p = g.shape[0]
    L = _same_length(xp, L, "L", p)
    if bool(xp.any(L < 0)):
        raise ValueError("L must be nonnegative")
    x = xp.zeros(p) if x is None else _same_length(xp, x, "x", p)
    unit = exponent(xp, g)
    if unit and isinstance(penalty, Zero):  # the rules compare; squares must be finite
        g, x = scaled(g, -unit), xp.zeros(p)
    problem = _Model(xp, kernels, g, L, penalty, H, diag)
    if rule in ("gsq", "gsq-omp") and H is None:
        raise ValueError(f'rule "{rule}" needs H')
    partition = _Subsets(tau, xp.nonzero(L > 0)[0])
    diag = "lipschitz" if isinstance(diag, str) else "row-sum"
    selector = Selector(problem, partition, rule, diag, _rng.generator(rng))
    return selector.choose(x, None, g)


def _same_length(xp, value, name, p):
    value = _validate.real_array(xp, _validate.as_array(value, name), name, 1)
    value = _validate.all_finite(xp, value, name)
    if value.shape[0] != p:
        raise ValueError(f"{name} must have {p} entries as g has, got {value.shape[0]}")
    return value


class _Model:
    """What a Selector asks of a problem, from arrays."""

    def __init__(self, xp, kernels, g, L, penalty, H, diag):
        self.xp, self.kernels, self.penalty, self.size = xp, kernels, penalty, g.shape[0]
        self.coordinate_lipschitz = L
        self.H = H
        if H is not None:
            self.H = _validate.real_array(xp, _validate.as_array(H, "H"), "H", 2)
            if self.H.shape != (self.size, self.size):
                raise ValueError(f"H must have shape {(self.size,) * 2}, got {self.H.shape}")
        if isinstance(diag, str):
            _validate.choice(diag, "diag", ("lipschitz",))
        else:
            self.D = _same_length(xp, diag, "diag", self.size)

    def row_sums(self):
        return self.D

    def bound_times(self, d):
        return self.H @ d

    def columns(self, b):
        return None

    def bound(self, b, columns):
        return self.xp.take(self.xp.take(self.H, b, axis=0), b, axis=1)


class _Subsets:
    """Variable blocks without a problem."""

    variable, forest = True, False

    def __init__(self, tau, alive):
        self.alive, self.size = alive, min(tau, alive.shape[0])

    def block(self, index):
        return index


def identify_active_set(x, g, problem):
    r"""Predict which coordinates of the solution lie at a kink or a bound.

    These are the coordinates that a prox step puts there,

    .. math:: \{i : \mathrm{prox}_{h_i/L_i}(x_i - g_i/L_i)
              \text{ is a kink or bound of } h_i\} .

    Where the solution x* is not degenerate, i.e. :math:`-\nabla_i f(x^*)` lies
    inside :math:`\partial h_i(x^*_i)` by at least :math:`\delta > 0` for each
    of them, the prediction is exact for all x with
    :math:`\|x - x^*\| \lesssim \delta/(2L)`.

    Parameters
    ----------
    x : array_like, shape of the problem's x
        A point.
    g : array_like, of the same shape
        The gradient of the smooth part there, as ``problem.grad(x)``.
    problem : Problem
        `LeastSquares`, `Logistic`, `Softmax`, `Quadratic` or `SVMDual`.

    Returns
    -------
    array of bool, of the same shape

    Raises
    ------
    ValueError
        Wrong shapes, NaN.
    TypeError
        No problem object, complex numbers.

    References
    ----------
    .. [1] J. Nutini, I. Laradji, M. Schmidt, Let's make block coordinate descent
       converge faster, JMLR 23(131), 2022, on active-set complexity.

    Examples
    --------
    >>> import refopt
    >>> problem = refopt.block_coordinate.LeastSquares([[1.0, 0.0], [0.0, 1.0]], [3.0, 0.1], l1=1.0)
    >>> x = [0.5, 0.2]
    >>> refopt.identify_active_set(x, problem.grad(x), problem)
    array([False,  True])
    """
    if not isinstance(problem, Problem):
        raise TypeError(f"problem must be a problem object, got {type(problem).__name__}")
    model = problem.model
    xp, penalty = model.xp, model.penalty
    x, g = _validate.as_array(x, "x"), _validate.as_array(g, "g")
    resolve(x, g, backend=model.kernels.name, names=("x", "g"))
    x = _validate.all_finite(xp, model.flat(x), "x")
    g = _validate.all_finite(xp, model.flat(g, "g"), "g")
    L = without_zeros(xp, model.coordinate_lipschitz)
    return xp.reshape(penalty.active(penalty.prox(x - g / L, 1 / L)), model.shape)
