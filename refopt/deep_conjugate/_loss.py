"""Losses of a direction, as functions of it, with their gradients.

Each returns (L, dL/df), or None where the loss is not defined.
"""

import math


def dcdm_loss(A, b, f):
    r"""The squared norm of what an exact line search along f leaves of b.

    With g = Af, u = b'f, v = f'g, the step a = u/v and e = b - ag,

        L = e'e,   dL/df = -2 (e'g (b/v - 2 u/v^2 g) + a A e):

    the same for f and any multiple of it.
    """
    g = A.matvec(f)
    u, v = float(b @ f), float(f @ g)
    if not 0 < v < math.inf:
        return None
    a = u / v
    e = b - a * g
    return float(e @ e), -2 * (float(e @ g) * (b / v - (2 * a / v) * g) + a * A.matvec(e))


def residual_loss(A, b, f):
    """||b - Af||, without a line search."""
    e = b - A.matvec(f)
    norm = math.sqrt(float(e @ e))
    return (norm, A.matvec(e) * (-1 / norm)) if 0 < norm < math.inf else None


class Descent:
    r"""The paper's iteration towards a known solution, and what each step is worth.

    A step along f made conjugate to the last `n_orth` directions, d, multiplies the squared
    A-norm of the error e by

        q = 1 - (r'd)^2 / (d'Ad e'Ae),   L = log10(q)/2,
        dL/df = -(r'd / (d'Ad q e'Ae log 10)) r_next,

    because the residual after the step is orthogonal to all that made up d.
    """

    def __init__(self, A, x, n_orth):
        self.A, self.n_orth = A, n_orth
        self.r = A.matvec(x)
        self.energy = float(self.r @ x)  # e'Ae
        self.least = 1e-12 * self.energy  # below, rounding speaks
        self.window: list = []

    @property
    def ended(self):
        return not self.energy > self.least

    def step(self, f):
        """Step along f; (L, dL/df). None, and the end, where no energy is left, or f'Af <= 0."""
        d, g = f, self.A.matvec(f)
        for d_i, g_i, v_i in self.window:
            beta = float(f @ g_i) / v_i
            d, g = d - beta * d_i, g - beta * g_i
        u, v = float(self.r @ d), float(d @ g)
        before, self.energy = self.energy, self.energy - u * u / v if 0 < v < math.inf else 0.0
        if self.ended:
            return None
        a = u / v
        self.r = self.r - a * g
        self.window = [*self.window, (d, g, v)][-self.n_orth :]
        gradient = self.r * (-a / (self.energy * math.log(10)))
        return 0.5 * math.log10(self.energy / before), gradient
