"""Random block coordinate descent for the paper's subproblem, with any differentiable loss.

    minimise  f(F u) + rho/2 (||u - v + lam||^2 + ||G u - s + nu||^2)

One or a few columns at a time take a gradient step, whose length is searched for. A step is in
units of 1/L, L the block's Lipschitz constant; published ones are absolute, and tied to their data.
"""

from collections import deque
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

from refopt.convex_relu._program import Program

_ARMIJO = 1e-4
_SHORTEN, _LESS, _MORE = 2.5, 1.5, 1.05
_LEAST = 1e-9  # of the threshold
_SEARCHES, _MOST = 40, 200  # of a step; steps per column


@dataclass
class BlockDescent:
    """The inner solver of `paper_admm`, with its parameters.

    Published sets: ``block=1, threshold=1.3e-3, decay=0.94`` with rho 1, gamma_ratio 1/3 that
    decays by .99, for small problems; ``block=3, threshold=0.7, decay=0.96`` with rho .02 that
    grows by 1e-4, gamma_ratio .2 that decays by .99, for 12000 digits and 8 patterns.

    Attributes
    ----------
    program : Program
    rho : float
    rng : Generator
    block : int
        Columns per step.
    threshold : float
        Mean decrease of the last ``ceil(8 sqrt(C/block))`` steps at which it stops, relative
        to the loss of zeros over the number of samples.
    decay : float
        Of the threshold, from one subproblem to the next.
    """

    program: Program
    rho: float
    rng: Any
    block: int = 1
    threshold: float = 1.3e-3
    decay: float = 0.94

    def __post_init__(self):
        program, xp = self.program, self.program.xp
        X, C = program.X, program.size[0]
        self.XX = X.T @ X
        top = float(xp.linalg.eigvalsh(self.XX)[-1])
        self.lipschitz = self.block * program.loss.largest_curvature * top + self.rho * (1 + top)
        self.step = 1.0
        self.scale = program.loss.value(xp.zeros(X.shape[0]), program.y) / X.shape[0]
        self.window = ceil(8 * sqrt(C / self.block))

    def solve(self, B: Any, U: Any) -> tuple[Any, Any]:
        """U, near the minimiser, and F U; B = v - lam + G'(s - nu), U where to begin."""
        program, xp, rho = self.program, self.program.xp, self.rho
        X, loss, y = program.X, program.loss, program.y
        C, block = U.shape[0], min(self.block, U.shape[0])
        U, z = xp.asarray(U, copy=True), program.apply(U)
        value = loss.value(z, y)
        decreases: deque[float] = deque(maxlen=self.window)
        for _ in range(_MOST * C):
            i = xp.asarray(self.rng.choice(C, block, replace=False))
            signed = xp.take(program.signed, i, axis=0)
            pull = xp.take(U, i, axis=0)
            pull = pull + pull @ self.XX - xp.take(B, i, axis=0)
            g = signed @ (loss.gradient(z, y)[:, None] * X) + rho * pull
            square = float(xp.sum(g * g))
            step = self.step / self.lipschitz
            for search in range(_SEARCHES):
                change = -step * g
                image = z + xp.sum((signed.T @ change) * X, axis=1)
                new = loss.value(image, y)
                quadratic = 0.5 * (change + change @ self.XX) + pull
                difference = new - value + rho * float(xp.sum(change * quadratic))
                if difference <= -_ARMIJO * step * square:
                    break
                step /= _SHORTEN
                if search == 0:
                    self.step = max(1.0, self.step / _LESS)  # 1/L descends but for rounding
            else:
                difference = 0.0
            if difference < 0:
                U[i, :] += change
                z, value = image, new
            self.step *= _MORE
            decreases.append(-difference)
            mean = sum(decreases) / self.window
            if len(decreases) == self.window and mean < self.threshold * self.scale:
                break
        self.threshold = max(_LEAST, self.decay * self.threshold)
        return U, z
