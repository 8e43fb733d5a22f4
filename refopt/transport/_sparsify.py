"""Which entries of a plan are kept: bounds relative to the masses, or the largest ones."""

import math

# Tiny masses times a tiny share must not underflow.
_TINY = 5e-324


def entry_bounds(xp, share, a, b):
    """Bounds for keeping entries not below ``share * min(a_i, b_j)``."""
    return xp.maximum(share * a, _TINY), xp.maximum(share * b, _TINY)


def entry_count(n, m, density):
    """Number of entries to keep; by default four per row of the longer side."""
    if density is None:
        return min(4 * max(n, m), n * m)
    return min(max(math.ceil(density * n * m), 1), n * m)


def largest_entries(xp, kernels, cost, f, g, reg, count):
    """Entries not below rho, the count-th largest of P = exp((f + g - C)/reg).

    Forms the plan: n x m numbers and their sorted copy.
    """
    n, m = f.shape[0], g.shape[0]
    P = kernels.plan_rows(cost, f, g, reg)
    rho = _kth_largest(xp, xp.reshape(P, (-1,)), count)
    floor = xp.full(n, rho, dtype=xp.float64)
    return kernels.select_entries(cost, f, g, reg, floor, xp.full(m, rho, dtype=xp.float64), n * m)


def _kth_largest(xp, values, k):
    size = values.shape[0]
    if hasattr(xp, "partition"):
        rho = xp.partition(values, size - k)[size - k]
    else:
        rho = xp.sort(values)[size - k]
    return max(float(rho), 1e-300)  # where the plan has fewer entries above zero
