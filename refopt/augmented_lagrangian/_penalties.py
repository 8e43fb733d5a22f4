"""Penalties that make the Newton step a direction of descent."""

from refopt.augmented_lagrangian._merit import Direction

ETA1_MAX, ETA2_MIN = 1e12, 1e-12


def adapt(direction: Direction, eta1: float, eta2: float, nu: float) -> tuple[float, float, float]:
    """Raise eta1, lower eta2 until ``grad M'd <= -(eta2/2) |r|^2``.

    Ends for an exact step whose B is positive definite on null(G): the slope is
    ``-dx'B dx + 2 c'dl - eta2 |gL|^2 - eta1 |c|^2 + eta2 gL'(H - B) dx``.

    Returns
    -------
    eta1, eta2, slope : float
        The slope may fail the test when the penalties are at their bounds.
    """
    slope = direction.slope(eta1, eta2)
    while slope > -0.5 * eta2 * direction.kkt2 and eta1 < ETA1_MAX and eta2 > ETA2_MIN:
        eta1, eta2 = eta1 * nu * nu, eta2 / nu
        slope = direction.slope(eta1, eta2)
    return eta1, eta2, slope
