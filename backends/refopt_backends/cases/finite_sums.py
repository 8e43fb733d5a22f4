"""Example arguments of the steps for averages of components."""

import math

import numpy as np

from refopt_backends.testing import Case


def cases(xp, rng):
    """Rows in one block and in two, columns; with and without prox and factors."""
    yield from _cases(xp, rng, np.float64, None)
    yield from _cases(xp, rng, np.float32, 1e-4)
    for n, d in ((1, 1), (7, 5)):
        rows = rng.standard_normal((n, d))
        u, w, g = (xp.asarray(rng.standard_normal(d)) for _ in range(3))
        data = xp.asarray(rows)
        index = xp.asarray(rng.integers(n, size=9))
        factors = xp.asarray(rng.random(9))

        def component(u, i, out, data=data):
            out[...] = data[i, :] * float(u[0]) ** 2

        for f in (None, factors):
            yield Case("component_mean", lambda k, c=component, u=u, i=index, f=f: (c, u, i, f))
            yield Case(
                "svrg_component_steps",
                lambda k, c=component, u=u, w=w, g=g, i=index, f=f: (
                    c, 0.1, w, g, u, 0.05, 0.9, (), i, f,
                ),
            )  # fmt: skip


def _cases(xp, rng, dtype, tolerance):
    for n, d, split in ((1, 1, 1), (6, 5, 5), (9, 7, 3), (30, 40, 20)):
        put = lambda a: xp.asarray(np.asarray(a, dtype=dtype))
        rows = rng.standard_normal((n, d)) / math.sqrt(d)
        square = rng.standard_normal((d, d)) / d
        places = np.arange(d)[:, None] if d % 2 else np.arange(d).reshape(2, -1).T
        forms = (
            ("rows", put(rows), split, (1.0, 0.5, -0.5, 2.0)),
            ("columns", put(square), xp.asarray(np.ascontiguousarray(places))),
        )
        vectors = [put(rng.standard_normal(d)) for _ in range(4)]
        lower = np.where(rng.random(d) < 0.5, -0.1, -math.inf)
        upper = np.where(rng.random(d) < 0.5, 0.2, math.inf)
        proxes = ((), tuple(map(put, (rng.random(d), lower, upper))))
        for form in forms:
            size = n if form[0] == "rows" else places.shape[0]
            index = rng.integers(size, size=(6, 3))
            factors = rng.random((6, 3)) + 0.5
            for weighted in (False, True):
                batch = xp.asarray(index), put(factors) if weighted else None
                first = batch[0][:, 0], None if batch[1] is None else batch[1][:, 0]
                first = tuple(None if a is None else xp.asarray(a, copy=True) for a in first)
                yield Case(
                    "batch_rows_diff",
                    lambda k, f=form, z=vectors[0], i=first: (f, z, *i), None, tolerance,
                )  # fmt: skip
                for prox in proxes:
                    for kernel in ("svrg_rows_steps", "vr_eg_rows_steps"):
                        yield Case(
                            kernel,
                            lambda k, f=form, v=vectors, p=prox, i=first: (
                                f, 0.1, v[0], v[1], v[2], 0.1, 0.95, p, *i,
                            ),
                            None, tolerance,
                        )  # fmt: skip
                    lams = xp.asarray(2.0 / (np.arange(6) + 4.0))
                    yield Case(
                        "page_rows_steps",
                        lambda k, f=form, v=vectors, p=prox, b=batch, s=lams: (
                            f, 0.1, v[0], v[1], v[2], v[3], s, 0.1, p, *b,
                        ),
                        None, tolerance,
                    )  # fmt: skip
        for prox in proxes:
            yield Case(
                "anchored_prox_step",
                lambda k, v=vectors, p=prox: (*v[:3], 0.3, 0.1, p), None, tolerance,
            )  # fmt: skip
        data = put(rows), xp.asarray(rng.integers(n, size=4)), put(rng.random(4))
        yield Case(
            "combine_rows",
            lambda k, data=data: data, None, tolerance,
        )  # fmt: skip
