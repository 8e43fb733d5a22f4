"""Regenerate the trained models: ``python -m refopt.deep_conjugate.train_models --out DIR``."""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import refopt
from refopt.deep_conjugate._dcdm_net import DCDMNet
from refopt.deep_conjugate._multilevel import MultilevelNet
from refopt.deep_conjugate._poisson_grid import PoissonGrid
from refopt.deep_conjugate._projection import poisson_rhs
from refopt.deep_conjugate._train import train_direction_network
from refopt.deep_conjugate._train_multilevel import train_multilevel
from refopt.problems.pressure import pressure_scene, swirl_velocity

# Scenes of 32 x 32 x 32 cells for the convolutional network: kind and seed.
SCENES = (
    ("room", 0),
    ("smoke", 100),
    ("smoke", 101),
    ("smoke", 102),
    ("porous", 103),
    ("dam", 104),
)
RECIPE: dict[str, Any] = {
    "loss": "unrolled",
    "data": "replay",
    "n_unroll": 1,
    "batch_size": 4,
    "lr": 2e-3,
}

# Scenes for the multilevel network: kind, cells a side in parts of 32, seed, and whether the
# right-hand side is the divergence of a velocity or white noise.
MULTILEVEL_SCENES = (
    ("box", 1.0, 1, "divergence"),
    ("box", 1.5, 1, "divergence"),
    ("smoke", 1.5, 11, "divergence"),
    ("smoke", 1.25, 12, "noise"),
    ("smoke", 2.0, 17, "divergence"),
    ("dam", 1.5, 13, "divergence"),
    ("dam", 2.0, 14, "divergence"),
    ("porous", 1.5, 15, "divergence"),
    ("porous", 1.25, 16, "noise"),
    ("porous", 2.0, 18, "divergence"),
    ("walls", 1.25, 2, "divergence"),
    ("walls", 1.5, 1, "divergence"),
)


def train_network(seed=0, n_steps=2000, extent=32, callback=None):
    """The network of 8 channels, trained on `SCENES`."""
    problems = [PoissonGrid(pressure_scene(kind, extent, scene)) for kind, scene in SCENES]
    res = train_direction_network(
        DCDMNet("64", channels=8, rng=seed), problems, n_samples=n_steps * RECIPE["batch_size"],
        rng=seed, callback=callback, **RECIPE,
    )  # fmt: skip
    res.model.meta = {
        "problems": [f"{kind} {extent}, seed {scene}" for kind, scene in SCENES],
        "recipe": RECIPE | {"n_steps": n_steps, "seed": seed},
        "version": refopt.__version__,
    }
    return res.model


def multilevel_problems(extent=32):
    """The matrices and right-hand sides of `MULTILEVEL_SCENES`."""
    problems = []
    for kind, scale, seed, origin in MULTILEVEL_SCENES:
        options = {"spacing": 5 + seed} if kind == "walls" else {"seed": seed}
        cells = pressure_scene(kind, round(scale * extent), **options)
        outside = "air" if kind == "box" else "solid"
        A = PoissonGrid(cells, outside=outside)
        if origin == "divergence":
            b = poisson_rhs(cells, swirl_velocity(cells.shape, seed + 1), outside=outside)
        else:
            b = np.random.default_rng(seed).standard_normal(A.n)
        problems.append((A, b))
    return problems


def train_multilevel_net(maxfev=700, extent=32):
    """The multilevel network, trained on `multilevel_problems`, its numbers to four decimals."""
    return MultilevelNet(train_multilevel(multilevel_problems(extent), maxfev=maxfev).round(4))


class Progress:
    """A line every hundred steps."""

    def __init__(self):
        self.losses, self.began = [], time.perf_counter()

    def __call__(self, intermediate_result):
        self.losses.append(intermediate_result.fun)
        if intermediate_result.nit % 100 == 0:
            seconds = time.perf_counter() - self.began
            mean = float(np.mean(self.losses[-100:]))
            print(
                f"step {intermediate_result.nit:5d}  loss {mean:.4f}  {seconds:.0f} s", flush=True
            )


def main(arguments=None):
    """Train, and write ``dcdm-cnn-8ch.npz`` and ``poisson-multilevel.npz``."""
    parser = argparse.ArgumentParser(prog="python -m refopt.deep_conjugate.train_models")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=2000, help="of the convolutional network")
    parser.add_argument("--evaluations", type=int, default=700, help="of the multilevel network")
    parser.add_argument("--extent", type=int, default=32, help="cells along each axis")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    linear = train_multilevel_net(options.evaluations, options.extent)
    linear.save(options.out / "poisson-multilevel.npz")
    print(linear, flush=True)
    net = train_network(options.seed, options.steps, options.extent, callback=Progress())
    net.save(options.out / "dcdm-cnn-8ch.npz")


if __name__ == "__main__":
    main()
