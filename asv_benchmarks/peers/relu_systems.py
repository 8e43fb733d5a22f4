"""Linear systems of alternating directions for ReLU networks, beside the paper's dense one.

    python asv_benchmarks/peers/relu_systems.py

Set-up and one solution, CPU seconds of one thread, the best of several.
"""

import one_thread  # noqa: F401  # isort: skip  (before NumPy)

import numpy as np
from harness import cpu_seconds, environment, markdown
from scipy.linalg import cho_factor, cho_solve

from refopt.convex_relu._program import LOSSES, Program, columns
from refopt.convex_relu._u_steps import U_STEPS
from refopt_backends import resolve

N, FEATURES, PATTERNS = 1000, 30, 50


def best(call, repeats):
    """The least of several times."""
    return min(cpu_seconds(call)[0] for _ in range(repeats))


def dense(program):
    """A factor of I + F'F + G'G, of all 2 d P unknowns."""
    X, C = program.X, program.size[0]
    F = np.hstack([(row[:, None] * X) for row in program.signed])
    return cho_factor(F.T @ F + np.kron(np.eye(C), np.eye(X.shape[1]) + X.T @ X))


def main():
    """Print the table."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, FEATURES))
    masks = np.ascontiguousarray((X @ rng.standard_normal((FEATURES, PATTERNS)) >= 0).T)
    xp, kernels = resolve(X, backend="numba")
    of, sign = columns(np, np.ones((2, PATTERNS), bool))
    y = rng.standard_normal(N)
    program = Program(xp, kernels, X, y, 1.0, LOSSES["squared"](), masks, of, sign)
    factor = dense(program)
    sides = [rng.standard_normal((of.size, FEATURES)) for _ in range(10)]
    build = best(lambda: dense(program), 2)
    solve = best(lambda: cho_solve(factor, sides[0].ravel()), 10)
    rows = [["dense", f"{build:.2e}", 1, f"{solve:.2e}", 1]]
    for name, u_step in U_STEPS.items():
        system, left = u_step(program, 1.0, 1.0), iter(sides)
        one = best(lambda u_step=u_step: u_step(program, 1.0, 1.0), 3)
        other = best(lambda system=system, left=left: system.solve(next(left)), 10)
        rows.append([name, f"{one:.2e}", round(build / one), f"{other:.2e}", round(solve / other)])
    print(environment("numpy", "scipy"))
    print(markdown(["system", "set-up, s", "ratio", "solution, s", "ratio"], rows))


if __name__ == "__main__":
    main()
