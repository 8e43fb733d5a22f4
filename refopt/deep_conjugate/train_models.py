"""Regenerate the network that is shipped: ``python -m refopt.deep_conjugate.train_models``."""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import refopt
from refopt.deep_conjugate._dcdm_net import DCDMNet
from refopt.deep_conjugate._poisson_grid import PoissonGrid
from refopt.deep_conjugate._train import train_direction_network
from refopt.problems.pressure import pressure_scene

# Scenes of 32 x 32 x 32 cells: kind and seed.
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
    """Train and write ``dcdm-cnn-8ch.npz``."""
    parser = argparse.ArgumentParser(prog="python -m refopt.deep_conjugate.train_models")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--extent", type=int, default=32, help="cells along each axis")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    net = train_network(options.seed, options.steps, options.extent, callback=Progress())
    net.save(options.out / "dcdm-cnn-8ch.npz")


if __name__ == "__main__":
    main()
