"""Models as iterations call them: a residual in, a direction out."""

import math
from collections.abc import Callable
from typing import Any

from refopt import _validate
from refopt.deep_conjugate._operators import as_operator
from refopt_backends import is_array, resolve


class Model:
    """A model bound to a system.

    Parameters
    ----------
    function : callable
        r (n,) -> d (n,).
    linear : bool
        Whether it is r -> M r with M symmetric positive definite.
    normalize : bool
        Whether it is called with r/|r|.
    bound : optional
        A `BoundNet`, whose kernels may do whole steps: see `GridIteration`.
    """

    def __init__(
        self,
        function: Callable,
        linear: bool,
        normalize: bool,
        bound: Any = None,
    ):
        self.function, self.linear, self.normalize = function, linear, normalize
        self.bound = bound

    def propose(self, system: Any) -> Any | None:
        """The direction for the system's residual, None if it is zero or not finite.

        It is the model's up to a power of two, which keeps products of directions of any size
        finite, and is projected onto the complement of the null space.
        """
        operator, xp = system.operator, system.operator.xp
        system.n_model += 1
        r = operator.leave(system.r)
        if self.normalize:
            r /= math.sqrt(system.rr)
        d = self._checked(self.function(r), r)
        if operator.n == 0:
            return None
        largest = max(float(xp.max(d)), -float(xp.min(d)))
        if not (math.isfinite(largest) and largest > 0):
            return None
        d = operator.enter(d)
        d *= 2.0 ** -max(-1000, min(1000, math.frexp(largest)[1]))
        system.nullspace.remove(d)
        return d

    def _checked(self, d, r):
        """What the model returned, if it is a real vector of the residual's shape."""
        if not is_array(d) and not isinstance(d, list | tuple):
            raise TypeError(f"model must return an array of shape {r.shape}, got {d!r}")
        d = _validate.as_array(d, "what model returns")
        resolve(r, d, names=("its argument", "what model returns"))
        if tuple(d.shape) != tuple(r.shape):
            raise ValueError(
                f"model must return an array of shape {tuple(r.shape)}, got shape {tuple(d.shape)}"
            )
        if _validate.dtype_name(d).startswith("complex"):
            raise TypeError(f"model must return real numbers, got dtype {d.dtype}")
        return d


def bind(model: Any, A: Any, operator: Any, b: Any, normalize: Any) -> Model | None:
    """A user's model for the matrix A, None where there is none.

    Parameters
    ----------
    model : None, callable, matrix, LinearOperator or object with ``setup(A)``
    A : Any
        What the user gave.
    operator : MatrixOperator or GridOperator
        A as iterations use it.
    b : array
        Of the operator's library.
    normalize : "auto" or bool

    Raises
    ------
    TypeError, ValueError
        `model` is none of these, or of another shape than A, or needs a grid and A is none.
    """
    if not isinstance(normalize, bool):
        _validate.choice(normalize, "normalize", ("auto", True, False))
    if model is None:
        return None
    if isinstance(model, type):
        raise TypeError(f"model must be an object, got the class; call it: {model.__name__}()")
    if isinstance(model, str):
        raise TypeError(f"model must be an object, got a name; load it: load_model({model!r})")
    if hasattr(model, "setup"):
        if operator.grid is None:
            raise ValueError(
                f"model {type(model).__name__} works on grids of cells: A must be a PoissonGrid, "
                f"got {type(A).__name__}; for other matrices pass a preconditioner, as "
                "model=pyamg.smoothed_aggregation_solver(A).aspreconditioner()"
            )
        model = model.setup(A)
    function, linear = model, bool(getattr(model, "is_linear_spd", False))
    if not linear and (hasattr(model, "matvec") or not callable(model)):
        given = as_operator(model, b, name="model")
        if given.n != operator.n:
            raise ValueError(
                f"model must have the shape of A, {(operator.n,) * 2}, got {(given.n,) * 2}"
            )
        function, linear = given.product, True
    normalize = not linear if normalize == "auto" else normalize
    return Model(function, linear, normalize, model if hasattr(model, "hierarchy") else None)
