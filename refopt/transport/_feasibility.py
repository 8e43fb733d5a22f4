"""Whether forbidden pairs leave a plan at all."""

from refopt_backends import cumulative_sum

_CHECK_EVERY = 10  # iterations between two looks


def blocked(dual, point, iteration):
    """Columns that need more mass than the rows that reach them have.

    Forbidden pairs can make the problem infeasible; then g grows without
    bound on a set J of columns with b(J) > a(rows that reach J). The sets
    tried are those of the columns in decreasing order of g.

    Parameters
    ----------
    dual : object
        With ``xp``, ``allowed`` (n, m) or None, ``a`` and ``b``.
    point : object
        With ``g``, shape (m,).
    iteration : int
        A look costs a pass over all pairs: most calls return at once.

    Returns
    -------
    None or tuple
        Columns J, their mass, the rows that reach them, those rows' mass.
    """
    if dual.allowed is None or iteration % _CHECK_EVERY:
        return None
    xp, m = dual.xp, dual.b.shape[0]
    order = xp.argsort(-point.g)
    rank = xp.argsort(order)
    first = xp.min(xp.where(dual.allowed, rank[None, :], m), axis=1)
    row_order = xp.argsort(first)
    reached = cumulative_sum(xp.take(dual.a, row_order))
    counts = xp.searchsorted(xp.take(first, row_order), xp.arange(m), side="right")
    supply = xp.where(counts > 0, xp.take(reached, xp.maximum(counts - 1, 0)), 0.0)
    excess = cumulative_sum(xp.take(dual.b, order)) - supply
    k = int(xp.argmax(excess))
    if not float(excess[k]) > 1e-12 * m:
        return None
    rows = xp.nonzero(first <= k)[0]
    return order[: k + 1], float(supply[k] + excess[k]), rows, float(supply[k])
