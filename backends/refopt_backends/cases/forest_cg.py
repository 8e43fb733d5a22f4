"""Example arguments of conjugate gradients over forests."""

from refopt_backends.cases.multilevel import graphs, system_of
from refopt_backends.testing import Case


def cases(xp, rng):
    """First-fit forests of the graphs of the multilevel kernels, and a block with a cycle."""
    for graph in graphs(xp, rng):
        X = xp.asarray(rng.standard_normal((2, graph[3].shape[0])))
        yield from _block_cases(xp, graph, X)


def _block_cases(xp, graph, Y):
    def split(k, forests):
        parts = system_of(k, graph)
        n = parts[3].shape[0]
        labels = (
            k.forest_labels(*parts[:2], xp.arange(n)) if forests else xp.zeros(n, dtype=xp.int64)
        )
        return k.graph_system(*parts), labels, Y[:, :n]

    def blocks(k):
        A, labels, X = split(k, True)
        return k.forest_blocks(A, labels)[0], X

    def steps(k):
        B, X = blocks(k)
        X, R = k.forest_cg_start(B, X, X + 1.0)
        counts = [3 if X.shape[1] > 20 else 1, 0]  # no step beyond the solution
        return B, X, R, 0.5 * R, xp.asarray([0.0, 0.5]), xp.asarray(counts)

    yield Case("forest_blocks", lambda k: split(k, True)[:2], lambda k, r: r[1])
    yield Case("forest_blocks", lambda k: split(k, False)[:2], lambda k, r: r[1].shape[0] > 0)
    yield Case("forest_cg_start", lambda k: (*blocks(k), Y[:, : blocks(k)[1].shape[1]] + 1.0))
    yield Case("forest_cg_steps", steps)
