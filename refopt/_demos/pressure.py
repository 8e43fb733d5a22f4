"""The pressure that keeps smoke in a room with obstacles free of divergence, beside SciPy's cg."""

import time

import numpy as np

import refopt
from refopt import problems
from refopt._demos.row import TOL, Row, arrays, on_host, timed

RTOL = 0.5 * TOL


def smoke(backend=None, size=64):
    """`MultilevelNet` on the cells, beside `scipy.sparse.linalg.cg` on the stored matrix.

    The certificates are computed with the stored matrix, that of SciPy's iteration: the residual
    over the right-hand side in the largest entry as the error, in the 2-norm as the gap.
    """
    cells, u = problems.pressure_scene("smoke", size), problems.swirl_velocity(size)
    b = refopt.poisson_rhs(cells, u)
    given_cells, given_b = arrays(backend, cells, b)
    options = {"rtol": RTOL, "full_output": True, "backend": backend}
    (x, result), seconds = timed(
        lambda: refopt.deep_conjugate_direction(
            refopt.PoissonGrid(given_cells), given_b, refopt.MultilevelNet(), **options
        )
    )
    A = refopt.PoissonGrid(cells).tocsr()
    error, gap = certificate(A, b, on_host(x), np.inf), certificate(A, b, on_host(x))
    other_x, count, other_seconds = _cg(A, b)
    other_gap = certificate(A, b, other_x)
    return Row(
        problem=f"pressure, smoke, {A.shape[0]} cells",
        backend=result.backend,
        iterations=result.nit,
        error=error,
        gap=gap,
        seconds=seconds,
        other=f"SciPy's cg: {count} steps, gap {other_gap:.1e}, {other_seconds:.2f} s",
        holds=bool(result.success and error <= TOL and gap <= RTOL),
        runs={"refopt": result},
        draw=lambda ax: _slice(ax, cells, on_host(x)),
    )


def certificate(A, b, x, norm=2):
    """The residual over the right-hand side, in plain NumPy."""
    return float(np.linalg.norm(b - A @ x, norm) / np.linalg.norm(b, norm))


def _cg(A, b):
    from scipy.sparse.linalg import cg

    count = []
    began = time.perf_counter()
    x, _ = cg(A, b, rtol=RTOL, callback=lambda xk: count.append(None))
    return x, len(count), time.perf_counter() - began


def _slice(ax, cells, x):
    """The pressure halfway through the room, obstacles left white."""
    field = np.full(cells.shape, np.nan)
    field[cells == 1] = x
    ax.imshow(field[:, cells.shape[1] // 2].T, origin="lower")
    ax.set_xlabel("cells")
    ax.set_ylabel("height")
