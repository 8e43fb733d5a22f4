"""The paper's network: speed of its convolutions, iterations and time against conjugate gradients.

Run as ``python asv_benchmarks/peers/deep_conjugate_cnn.py --systems room-32 smoke-64``; all systems
take about a minute. Seconds are wall-clock, compilation excluded.
"""

import argparse
import time

import numba
import numpy as np

from refopt import PoissonGrid, deep_conjugate_direction, load_model, poisson_rhs
from refopt.problems import pressure_scene, swirl_velocity
from refopt_backends import resolve, use_backend

SYSTEMS = ("room-32", "smoke-32", "dam-32", "porous-32", "room-64", "smoke-64")
COUNTS = (0, 1, 2, 4)  # of earlier directions that a new one is made conjugate to


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS)
    options.add_argument("--rtol", type=float, default=1e-4)
    asked = options.parse_args()
    convolutions()
    heads = [f"n_orth {n}" for n in COUNTS]
    print("\n| system | CG |", " | ".join(heads), "| unguarded 4 | s, CG | s, n_orth 4 | GFLOP/s |")
    print("|---" * (len(heads) + 6) + "|")
    with use_backend("numba"):
        solve("smoke", 8, asked.rtol)  # compiles
        for system in asked.systems:
            kind, size = system.split("-")
            print(
                "| " + " | ".join([system, *solve(kind, int(size), asked.rtol)]) + " |", flush=True
            )


def timed(call, repeats=1):
    """Seconds of the fastest call, and its answer."""
    seconds = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        answer = call()
        seconds = min(seconds, time.perf_counter() - start)
    return seconds, answer


def convolutions():
    print("| threads | forward, GFLOP/s | weights, GFLOP/s |\n|---|---|---|")
    rng = np.random.default_rng(0)
    shapes = (16, 64, 64, 64), (16, 16, 3, 3, 3), (16,)
    x, W, bias = (rng.standard_normal(s).astype(np.float32) for s in shapes)
    _, kernels = resolve(x, backend="numba")
    work = 54e-9 * 16 * x.size
    for threads in range(1, min(2, numba.config.NUMBA_NUM_THREADS) + 1):
        numba.set_num_threads(threads)
        forward = timed(lambda: kernels.conv3d_forward(x, W, bias, True, None), 6)[0]
        weights = timed(lambda: kernels.conv3d_backward_weights(x, x), 6)[0]
        print(f"| {threads} | {work / forward:.0f} | {work / weights:.0f} |")


def solve(kind, size, rtol):
    """Iterations, seconds of a solve, and the speed of the network in it."""
    cells = pressure_scene(kind, size)
    A, b = PoissonGrid(cells), poisson_rhs(cells, swirl_velocity(size))
    net = load_model("dcdm-cnn-8ch")
    options = {"rtol": rtol, "maxiter": 400, "full_output": True}
    plain, (_, res) = timed(lambda: deep_conjugate_direction(A, b, **options), 3)
    row = [str(res.nit)]
    for n_orth, safeguard in (*((n, True) for n in COUNTS), (COUNTS[-1], False)):
        call = lambda n=n_orth, s=safeguard: deep_conjugate_direction(
            A, b, net, n_orth=n, safeguard=s, **options
        )
        learned, (_, res) = timed(call, 2 if n_orth == COUNTS[-1] else 1)
        row.append(str(res.nit) if res.success else f"> {res.nit}")
        if safeguard:
            guarded = learned
    direction = net.setup(A)
    seconds = timed(lambda: direction(b), 3)[0]
    inner = 8 + 6 / 8  # convolutions of the fine level, and of the coarse one
    work = 54e-9 * (inner * net.channels**2 + net.channels) * cells.size
    return [*row, f"{plain:.3f}", f"{guarded:.3f}", f"{work / seconds:.0f}"]


if __name__ == "__main__":
    main()
