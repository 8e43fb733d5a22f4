"""Example arguments of the kernels with an incomplete factor."""

from refopt_backends.cases.multilevel import graphs, system_of
from refopt_backends.testing import Case


def cases(xp, rng):
    """The graphs of the multilevel kernels; rows that take different numbers of steps."""
    for graph in graphs(rng):
        X = xp.asarray(rng.standard_normal((2, graph[3].shape[0])))
        yield from _factor_cases(xp, system_of(xp, graph), X)


def _factor_cases(xp, parts, Y):
    X = Y[:, : parts[3].shape[0]]

    def factor(k):
        return k.incomplete_factor(k.graph_system(*parts), 0.9), X

    def steps(k):
        F, X = factor(k)
        beta, counts = xp.asarray([0.0, 0.5]), xp.asarray([3, 0])
        return F, X, k.incomplete_cg_start(F, X + 1.0), 0.5 * X, beta, counts

    yield Case(
        "incomplete_factor",
        lambda k: (k.graph_system(*parts), 0.5),
        lambda k, F: k.incomplete_cg_start(F, X),
    )
    yield Case("incomplete_cg_start", factor)
    yield Case("incomplete_cg_steps", steps)
