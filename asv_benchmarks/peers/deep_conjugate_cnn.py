"""The paper's network: speed of its convolutions, iterations and time against conjugate gradients.

``python asv_benchmarks/peers/deep_conjugate_cnn.py``; figures are wall-clock, best of several.
"""

import time

import numba
import numpy as np

from refopt import PoissonGrid, deep_conjugate_direction, load_model, poisson_rhs
from refopt.problems import pressure_scene, swirl_velocity
from refopt_backends import resolve

SCENES = (("room", 32), ("smoke", 32), ("dam", 32), ("porous", 32), ("room", 64), ("smoke", 64))


def best(call, repeats):
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
        forward = best(lambda: kernels.conv3d_forward(x, W, bias, True, None), 10)[0]
        weights = best(lambda: kernels.conv3d_backward_weights(x, x), 10)[0]
        print(f"| {threads} | {work / forward:.0f} | {work / weights:.0f} |")


def iterations(rtol=1e-4):
    counts = (0, 1, 2, 4)
    heads = [f"{kind} {n}" for kind in ("unguarded", "guarded") for n in counts]
    print("\n| system | CG |", " | ".join(heads), "| s CG | s guarded 4 |")
    print("|---" * (len(heads) + 4) + "|")
    net = load_model("dcdm-cnn-8ch")
    for kind, n in SCENES:
        cells = pressure_scene(kind, n)
        A, b = PoissonGrid(cells), poisson_rhs(cells, swirl_velocity(n))
        options = {"rtol": rtol, "maxiter": 400, "full_output": True}
        plain, (_, res) = best(lambda: deep_conjugate_direction(A, b, **options), 3)  # noqa: B023
        row = [str(res.nit)]
        for safeguard in (False, True):
            for n_orth in counts:
                learned, (_, res) = best(
                    lambda: deep_conjugate_direction(
                        A, b, model=net, n_orth=n_orth, safeguard=safeguard, **options  # noqa: B023
                    ), 1,
                )  # fmt: skip
                row.append(str(res.nit) if res.success else f"> {res.nit}")
        print(f"| {kind} {n} |", " | ".join(row), f"| {plain:.3f} | {learned:.3f} |", flush=True)


if __name__ == "__main__":
    convolutions()
    iterations()
