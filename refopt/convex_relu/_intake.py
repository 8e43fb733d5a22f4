"""Arguments of fits: data, options of methods and gates, checked."""

import math
from typing import Any

import numpy as np

from refopt import _validate
from refopt.convex_relu import _gates

LARGEST = 1e151  # entry of X, which is divided by a power of two close to its entries
ROUNDS = 10  # of refinement by default
_U_SOLVERS = ("auto", "woodbury", "cholesky", "pcg", "rbcd", "sylvester")


def splitting_options(u_solver: Any, weights: Any, relax: Any, adapt: Any, scale: float) -> dict:
    """Options of alternating directions, checked, for features divided by `scale`."""
    options: dict[str, Any] = {"adapt": bool(adapt), "relax": _validate.positive(relax, "relax")}
    options["u_solver"] = _validate.choice(u_solver, "u_solver", _U_SOLVERS)
    if u_solver == "rbcd":
        raise ValueError("u_solver must be another unless splitting is 'paper', got 'rbcd'")
    if options["relax"] >= 2:
        raise ValueError(f"relax must be below 2, got {relax!r}")
    units = scale**-2.0, scale**2, scale**2
    for name, value, unit in zip(("rho", "eta", "kappa"), weights, units, strict=True):
        options[name] = None if value is None else _validate.positive(value, name) * unit
    return options


def paper_options(loss, method, u_solver, rho, eta, kappa, gamma_ratio):
    """Options of the paper's preset, checked."""
    if loss == "hinge":
        raise ValueError("splitting must be 'consensus' for the hinge loss, got 'paper'")
    u_solver = _validate.choice(u_solver, "u_solver", _U_SOLVERS)
    fitting = (*_U_SOLVERS[:5],) if loss == "squared" else ("auto", "pcg", "rbcd")
    if u_solver not in fitting:
        raise ValueError(
            f"u_solver must be one of {', '.join(fitting)} for the paper's splitting and the "
            f"{loss} loss, got {u_solver!r}"
        )
    if method != "admm":
        raise ValueError("splitting must be 'consensus' unless method is 'admm', got 'paper'")
    for name, value in (("eta", eta), ("kappa", kappa)):
        if value is not None:
            raise ValueError(f"{name} must not be given with splitting 'paper', got {value!r}")
    rho = 1.0 if rho is None else _validate.positive(rho, "rho")
    gamma = _validate.positive(gamma_ratio, "gamma_ratio")
    return {"u_solver": u_solver, "rho": rho, "gamma_ratio": gamma}


def attack_options(
    xp: Any, epsilon: Any, p: Any, mask: Any, d: int, bias: bool, scale: float
) -> tuple | None:
    """Perturbations, checked, for features divided by `scale`; None without any."""
    epsilon = _validate.nonnegative(epsilon, "epsilon")
    p = _validate.real_number(p, "p")
    if p not in (1.0, 2.0, math.inf):
        raise ValueError(f"p must be 1, 2 or infinity, got {p}")
    on = xp.ones(d)
    given = d - bias
    if mask is not None:
        mask = xp.asarray(mask)
        if tuple(mask.shape) != (given,):
            raise ValueError(f"perturb_mask must have {given} entries, got {tuple(mask.shape)}")
        on[:given] = xp.astype(xp.astype(mask, xp.bool), xp.float64)
    if bias:
        on[given:] = 0.0
    return (epsilon / scale, p, on) if epsilon > 0 else None


def take_in(xp: Any, X: Any, y: Any, loss: str, bias: bool, most: int = 2) -> tuple[Any, Any]:
    """X, with a column of ones if asked, and y of 1 to `most` dimensions, in float64."""
    X = features(xp, X)
    y = _validate.moderate(xp, _validate.real_array(xp, y, "y", min(max(y.ndim, 1), most)), "y")
    if X.size == 0:
        raise ValueError(f"X must have a row and a column, got shape {tuple(X.shape)}")
    n = X.shape[0]
    if y.shape[0] != n:
        raise ValueError(f"y must have one entry per row of X, {n}, got {y.shape[0]}")
    if y.size == 0:
        raise ValueError(f"y must have an output, got shape {tuple(y.shape)}")
    if loss != "squared" and not bool(xp.all(xp.abs(y) == 1)):
        wrong = _validate.first_place(xp, y, xp.abs(y) != 1)
        raise ValueError(f"y must hold labels -1 and +1 for the {loss} loss, got {wrong}")
    X, y = xp.astype(X, xp.float64, copy=False), xp.astype(y, xp.float64, copy=False)
    return (xp.concat([X, xp.ones((n, 1))], axis=1) if bias else X), y


def features(xp: Any, X: Any) -> Any:
    """X, refused where the squares of its largest entry are no numbers."""
    X = _validate.moderate(xp, _validate.real_array(xp, X, "X", 2), "X", LARGEST)
    size = float(xp.max(xp.abs(X))) if X.size else 0.0
    if 0 < size < 1 / LARGEST:
        raise ValueError(
            f"X must be zero or have an entry of at least {1 / LARGEST:g} in absolute value, "
            f"got {size:g} at most: choose smaller units"
        )
    return X


def given_gates(xp: Any, X: Any, gates: Any) -> tuple[Any, Any]:
    """Patterns and their directions, each pattern once."""
    n = X.shape[0]
    if _validate.dtype_name(gates).startswith("bool"):
        if gates.ndim != 2 or gates.shape[0] != n:
            raise ValueError(
                f"gates must be patterns of shape ({n}, P) if boolean, got {tuple(gates.shape)}"
            )
        D, G = gates, None
    else:
        G = _directions_given(xp, X, gates)
        D = X @ G >= 0
    kept = xp.asarray(_gates.distinct(xp, D))
    return xp.take(D, kept, axis=1), None if G is None else xp.take(G, kept, axis=1)


def directions(
    xp: Any, X: Any, gates: Any, n: int, kind: str, rng: np.random.Generator
) -> tuple[Any, Any]:
    """Directions of length 1 whose neurons are active somewhere, and their patterns."""
    if gates is None:
        if kind == "all":
            raise ValueError("gate_kind must be 'gaussian' or 'conv' with method 'scp', got 'all'")
        G = _gates.draw(xp, X, n, kind, rng)
    elif _validate.dtype_name(gates).startswith("bool"):
        raise ValueError("gates must be directions with method 'scp', got patterns")
    else:
        G = _directions_given(xp, X, gates)
    H = X @ G
    kept = xp.nonzero(xp.any(H > 0, axis=0))[0]
    G = xp.take(G, kept, axis=1)
    return xp.take(H, kept, axis=1) >= 0, G / xp.sqrt(xp.sum(G * G, axis=0))


def of_length_one(xp: Any, G: Any) -> Any:
    """The directions of an earlier result, zero ones as they are."""
    if G is None:
        raise ValueError("x0 must be a result with directions for method 'scp', got patterns only")
    norms = xp.sqrt(xp.sum(G * G, axis=0))
    return G / xp.where(norms > 0, norms, xp.ones_like(norms))


def _directions_given(xp, X, gates):
    G = _validate.all_finite(xp, _validate.real_array(xp, gates, "gates", 2), "gates")
    if G.shape[0] != X.shape[1]:
        hint = "; patterns must be boolean" if G.shape[0] == X.shape[0] else ""
        raise ValueError(f"gates must have shape ({X.shape[1]}, P), got {tuple(G.shape)}{hint}")
    return xp.astype(G, xp.float64, copy=False)


def feature_scale(xp: Any, X: Any) -> float:
    """The power of four nearest to the root mean square of X; division by it is exact."""
    largest = float(xp.max(xp.abs(X)))
    if largest == 0:
        return 1.0
    mean = float(xp.mean((X / largest) ** 2))
    return 4.0 ** round(math.log(largest, 4) + 0.5 * math.log(mean, 4))


def rounds_of(refine: Any, possible: bool, wanted: bool) -> int:
    """The number of rounds of refinement; "auto" is `ROUNDS` where wanted and possible."""
    if isinstance(refine, str):
        _validate.choice(refine, "refine", ("auto",))
        return ROUNDS if possible and wanted else 0
    rounds = _validate.count(refine, "refine")
    if rounds and not possible:
        raise ValueError(
            "refine must be 0 with epsilon > 0, the paper's splitting, 'admm', 'scp' or 'gated', "
            f"got {rounds}"
        )
    return rounds
