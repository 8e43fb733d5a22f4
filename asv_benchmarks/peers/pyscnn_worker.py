"""Solve a convex program with pyscnn in the Python that has it.

Started by ``convex_relu.py --pyscnn PYTHON`` as ``pyscnn_worker.py FILE``; prints a line of
JSON per setting: CPU seconds, and the weights of the network it found.
"""

import one_thread  # noqa: F401  # isort: skip  (before NumPy)

import json
import sys
import time

import numpy as np

SETTINGS = [(dtype, tol) for tol in (1e-3, 1e-4, 1e-5, 1e-6) for dtype in ("float32", "float64")]


def main(path):
    """One run per setting; the parent stops this process when its time is over."""
    import torch
    from scnn.metrics import Metrics
    from scnn.models import ConvexReLU
    from scnn.optimize import optimize_model
    from scnn.regularizers import NeuronGL1
    from scnn.solvers import AL

    torch.set_num_threads(1)
    with np.load(path) as file:
        X, y, G, beta = file["X"], file["y"], file["G"], float(file["beta"])

    def run(dtype, tol, **limits):
        model = ConvexReLU(G)
        solver = AL(model, tol=tol, constraint_tol=tol, **limits)
        return optimize_model(  # its loss is a mean
            model, solver, Metrics(), X, y[:, None], regularizer=NeuronGL1(beta / len(y)),
            unitize_data=False, dtype=dtype,
        )[0]  # fmt: skip

    run("float32", 1e-3, max_primal_iters=2, max_dual_iters=1)
    for dtype, tol in SETTINGS:
        start = time.process_time()
        model = run(dtype, tol)
        seconds = time.process_time() - start
        W1, w2 = (np.asarray(part, float) for part in model.parameters)
        setting = f"{dtype}, {tol:g}"
        record = {"setting": setting, "seconds": seconds, "W1": W1.T.tolist(),
                  "w2": w2.ravel().tolist()}  # fmt: skip
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
