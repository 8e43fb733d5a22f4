"""Example arguments of conjugate gradients over forests."""

from refopt_backends.cases.multilevel import graphs, system_of
from refopt_backends.testing import Case


def cases(xp, rng):
    """First-fit forests of the graphs of the multilevel kernels, and a block with a cycle."""
    for graph in graphs(rng):
        X = xp.asarray(rng.standard_normal((2, graph[3].shape[0])))
        yield from _block_cases(xp, system_of(xp, graph), X)


def _block_cases(xp, parts, Y):
    n = parts[3].shape[0]
    X, one = Y[:, :n], xp.zeros(n, dtype=xp.int64)

    def split(k):
        return k.graph_system(*parts), k.forest_labels(*parts[:2], xp.arange(n))

    def steps(k):
        blocks = k.forest_blocks(*split(k))[0]
        Z, R = k.forest_cg_start(blocks, X, X + 1.0)
        counts = [3 if n > 20 else 1, 0]  # no step beyond the solution
        return blocks, Z, R, 0.5 * R, xp.asarray([0.0, 0.5]), xp.asarray(counts)

    yield Case("forest_blocks", split, lambda k, r: r[1])
    yield Case("forest_blocks", lambda k: (split(k)[0], one), lambda k, r: r[1].shape[0] > 0)
    yield Case("forest_cg_start", lambda k: (k.forest_blocks(*split(k))[0], X, X + 1.0))
    yield Case("forest_cg_steps", steps)
