"""What learning and what structure buy the multilevel network: iterations to 1e-6.

Run as ``python asv_benchmarks/peers/deep_conjugate_learning.py``. In brackets the last iteration is
counted in part. No scene is one of the training's. ``--seeds 8`` draws more of them.
"""

import one_thread  # noqa: F401  # isort: skip  (before NumPy)

import argparse

import numpy as np

from refopt import MultilevelNet, PoissonGrid, poisson_rhs
from refopt.deep_conjugate._multilevel import HAND
from refopt.deep_conjugate._train_multilevel import iterations
from refopt.problems import pressure_scene, swirl_velocity
from refopt_backends import resolve
from refopt_backends.numba_cpu import _connected_grids

ODD = {"smoke": (70, 90, 54), "dam": (59, 53, 67), "porous": (47, 61, 53), "box": (63, 61, 67)}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sizes", type=int, nargs="+", default=[32, 64, 128])
    options.add_argument("--seeds", type=int, default=3, help="scenes of each kind and size")
    asked = options.parse_args()
    print("| scene | set by hand | trained | trained, whole blocks |\n|---|---|---|---|")
    counts = []
    for kind in ("box", "smoke", "dam", "porous", "walls"):
        for shape in [*asked.sizes, *([ODD[kind]] if kind in ODD else [])]:
            number = 1 if kind == "box" or shape == 128 else asked.seeds
            for seed in range(31, 31 + number):
                row = measured(kind, shape, seed)
                counts.append(row)
                cells = [f"{int(np.ceil(v))} ({v:.2f})" for v in row]
                print(f"| {kind} {shape}, {seed} | " + " | ".join(cells) + " |", flush=True)
    hand, trained, _ = np.array(counts).T
    fewer = np.ceil(trained) - np.ceil(hand)
    print(
        f"\n{hand.size} scenes: trained takes fewer iterations on {np.sum(fewer < 0)}, more on "
        f"{np.sum(fewer > 0)}, at most {fewer.max():.0f} more; with the last one in part fewer on "
        f"{np.sum(trained < hand)}. Sums {np.ceil(hand).sum():.0f}, {np.ceil(trained).sum():.0f}; "
        f"in part {hand.sum():.1f}, {trained.sum():.1f}."
    )


def measured(kind, shape, seed):
    """Iterations by hand-set numbers, by trained ones, and by these with undivided blocks."""
    own = {"spacing": 5 + seed % 4} if kind == "walls" else {"seed": seed}
    cells = pressure_scene(kind, shape, **own)
    outside = "air" if kind == "box" else "solid"
    A = PoissonGrid(cells, outside=outside)
    b = poisson_rhs(cells, swirl_velocity(cells.shape, seed + 1), outside=outside)
    _, kernels = resolve(A.types)
    trained = MultilevelNet().params
    row = [iterations(kernels, A, b, np.array(p), most=200) for p in (HAND, trained)]
    split, _connected_grids.SPLIT = _connected_grids.SPLIT, 1e9
    try:
        return [*row, iterations(kernels, A, b, trained, most=200)]
    finally:
        _connected_grids.SPLIT = split


if __name__ == "__main__":
    main()
