"""Example arguments of the transport kernels."""

import math

from refopt_backends.testing import Case

# A backend may keep the weights of the Newton matrix in single precision.
_SINGLE = 1e-6


def cases(xp, rng):
    """Dense costs with forbidden pairs, point clouds of all metrics, uneven masses."""
    for n, m, reg in ((7, 5, 0.3), (40, 33, 0.02), (90, 130, 0.005)):
        C = rng.random((n, m))
        C[0, 1] = C[2, 0] = math.inf
        X, Y = rng.random((n, 3)), rng.random((m, 3))
        costs = [(xp.asarray(C),)]
        costs += [(xp.asarray(X), xp.asarray(Y), metric, 0.7) for metric in (0, 1, 2)]
        a, b = rng.dirichlet([0.3] * n) + 1e-9, rng.dirichlet([0.3] * m) + 1e-9
        g = xp.asarray(0.1 * rng.standard_normal(m))
        v = xp.asarray(rng.standard_normal(m))
        u = xp.asarray(rng.standard_normal(n))
        V = xp.asarray(rng.standard_normal((m, 3)))
        guess = xp.asarray(rng.standard_normal(n))
        a, b = xp.asarray(a / a.sum()), xp.asarray(b / b.sum())
        for cost in costs:
            yield from _cost_cases(xp, cost, g, a, b, reg, u, v, V, guess)


def _cost_cases(xp, cost, g, a, b, reg, u, v, V, guess):
    yield Case("semidual_pass", lambda k: (cost, g, a, reg))
    yield Case("semidual_pass", lambda k: (cost, g, a, reg, guess))

    single = (xp.astype(cost[0], xp.float32),) if len(cost) == 1 else cost
    yield Case("semidual_estimate", lambda k: (single, g, a, reg, guess), None, 1e-3)
    yield Case(
        "semidual_estimate",
        lambda k: (single, g, a, reg, k.semidual_pass(cost, g, a, reg)[0]),
        None,
        1e-3,
    )

    def potentials(k):
        return k.semidual_pass(cost, g, a, reg)[0]

    yield Case("column_potential", lambda k: (cost, potentials(k), b, reg))
    yield Case("plan_marginals", lambda k: (cost, potentials(k), g, reg))
    yield Case("plan_rows", lambda k: (cost, potentials(k), g, reg))
    yield Case("plan_product", lambda k: (cost, potentials(k), g, reg, V, False))
    yield Case("plan_product", lambda k: (cost, potentials(k), g, reg, u[:, None], True))

    def select(k, share=1e-2, limit=10**9):
        f = potentials(k)
        return (cost, f, g, reg, share * a, share * b, limit)

    def entries(k, share=1e-2):
        return k.select_entries(*select(k, share))

    yield Case("select_entries", select, lambda k, e: _dense_entries(e, k, xp))
    yield Case("select_entries", lambda k: select(k, limit=3), lambda k, e: e)

    yield Case(
        "sample_entries",
        lambda k: (cost, potentials(k), g, reg, a, 10),
        lambda k, e: k.entries_product(e, xp.ones_like(g), False) / a,
        0.21,  # rounding decides at the bounds: up to two draws of ten
    )

    def sampled(k, times=1.0):
        c = times * k.semidual_pass(cost, g, a, reg)[1]
        entries = k.sample_entries(cost, potentials(k), g, reg, a, 10**9)  # keeps all
        return (entries, a, b, c, 0.0, 1e-3 * c)

    yield Case("newton_matrix", sampled, lambda k, S: k.newton_product(S, v), _SINGLE)
    yield Case("newton_matrix", lambda k: sampled(k, 4.0), _matrix_view, _SINGLE)

    def wide(k):  # every row and column keeps an entry
        return entries(k, 1e-12)

    yield Case(
        "entries_pass",
        lambda k: (wide(k), g, a, reg, potentials(k)),
        lambda k, r: (r[0], r[1], _dense_entries(r[2], k, xp)),
    )
    yield Case(
        "entries_pass",
        lambda k: (wide(k), g + 0.3 * v, a, 0.7 * reg, guess),
        lambda k, r: (r[0], r[1], _dense_entries(r[2], k, xp)),
    )
    yield Case("entries_product", lambda k: (entries(k), v, False))
    yield Case("entries_product", lambda k: (entries(k), u, True))

    def matrix(k, threshold=0.05, shift=1e-3):
        c = k.semidual_pass(cost, g, a, reg)[1]
        return (wide(k), a, b, c, threshold, shift * c)

    for threshold in (0.0, 0.05, 2.0):  # 2.0 leaves most rows empty
        yield Case("newton_matrix", lambda k, t=threshold: matrix(k, t), _matrix_view, _SINGLE)

    def built(k):
        return k.newton_matrix(*matrix(k))

    yield Case("newton_product", lambda k: (built(k), v), None, _SINGLE)
    yield Case("newton_cg", lambda k: (built(k), v, 1e-13, 1000), lambda k, r: r[0], 1e-5)
    yield Case("newton_cg", lambda k: (built(k), v, 1e-1, 1000), lambda k, r: r[1:])
    yield Case("newton_dense", lambda k: (built(k), v), None, 1e-5)


def _dense_entries(entries, kernels, xp):
    """The kept entries as documented attributes and as products with unit vectors."""
    rows, columns, plan = entries.coo()
    probe = xp.linspace(0.1, 1.0, entries.shape[1])
    return (
        list(entries.shape),
        entries.nnz,
        rows,
        columns,
        plan,
        kernels.entries_product(entries, probe, False),
    )


def _matrix_view(kernels, matrix):
    return {
        "nnz": matrix.nnz,
        "dropped": 1.0 + matrix.dropped,  # of mass 1; often nothing but rounding
        "extra": matrix.extra,
        "diagonal": matrix.diagonal,
    }
