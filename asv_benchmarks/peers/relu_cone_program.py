"""The convex program of a ReLU network in Clarabel's form, written by hand.

Variables are the columns u_j, bounds t_j of their norms, predictions z, and what the loss
needs; ``z = sum_j sigma_j D_j X u_j`` keeps the dense part to n equalities.
"""

import clarabel
import numpy as np
from scipy import sparse


def clarabel_solution(problem, tol):
    """Columns (2 P, d), v first, and the value Clarabel reports; both copies of every pattern."""
    X, y, masks = problem.X, problem.y, problem.gates.T.astype(float)
    (n, d), C = X.shape, 2 * len(masks)
    masks = np.vstack([masks, masks])
    sigma = np.repeat([1.0, -1.0], C // 2)
    width = C * d
    predict = sparse.csc_matrix(
        np.hstack([s * m[:, None] * X for s, m in zip(sigma, masks, strict=True)])
    )
    cones = sparse.block_diag([(2 * m - 1)[:, None] * X for m in masks], format="csc")
    rows, right, kinds = [], [], []
    loss = {"squared": _squared, "hinge": _hinge, "logistic": _logistic}[problem.loss]
    P, q, extra, blocks = loss(y)
    k = q.size - n  # variables of the loss besides z
    rows.append(_row(predict, _empty(n, C), -sparse.eye(n), _empty(n, k)))
    right.append(np.zeros(n))
    kinds.append(clarabel.ZeroConeT(n))
    rows.append(_row(-cones, _empty(C * n, C + n + k)))
    right.append(np.zeros(C * n))
    kinds.append(clarabel.NonnegativeConeT(C * n))
    lift = sparse.lil_matrix((C * (d + 1), width + C))
    for j in range(C):
        lift[j * (d + 1), width + j] = -1.0
        for i in range(d):
            lift[j * (d + 1) + 1 + i, j * d + i] = -1.0
    rows.append(_row(lift.tocsc(), _empty(C * (d + 1), n + k)))
    right.append(np.zeros(C * (d + 1)))
    kinds += [clarabel.SecondOrderConeT(d + 1)] * C
    if extra is not None:
        rows.append(_row(_empty(extra.shape[0], width + C), extra))
        right.append(blocks[0])
        kinds += blocks[1]
    hessian = sparse.block_diag([_empty(width + C, width + C), P], format="csc")
    cost = np.concatenate([np.zeros(width), np.full(C, problem.beta), q])
    solver = clarabel.DefaultSolver(
        hessian, cost, sparse.vstack(rows, format="csc"), np.concatenate(right), kinds,
        _settings(tol),
    )  # fmt: skip
    solution = solver.solve()
    return np.asarray(solution.x[:width]).reshape(C, d), solution


def _settings(tol):
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_rel = settings.tol_feas = tol
    settings.tol_gap_abs = 0.0
    return settings


def _squared(y):
    return sparse.eye(y.size, format="csc"), -y, None, None


def _hinge(y):
    """xi >= 0 and xi >= 1 - y z."""
    n = y.size
    A = sparse.bmat([[None, -sparse.eye(n)], [-sparse.diags(y), -sparse.eye(n)]])
    right = np.concatenate([np.zeros(n), -np.ones(n)])
    q = np.concatenate([np.zeros(n), np.ones(n)])
    return _empty(2 * n, 2 * n), q, A, (right, [clarabel.NonnegativeConeT(2 * n)])


def _logistic(y):
    """exp(-w) + exp(-y z - w) <= 1: variables z, w, p >= exp(-w), 1 - p >= exp(-y z - w)."""
    n = y.size
    eye, zero = sparse.eye(n), _empty(n, n)
    blocks = [
        [zero, eye, zero],  # (-w, 1, p)
        [zero, zero, zero],
        [zero, zero, -eye],
        [sparse.diags(y), eye, zero],  # (-y z - w, 1, 1 - p)
        [zero, zero, zero],
        [zero, zero, eye],
    ]
    A = sparse.bmat(blocks, format="csr")
    right = np.concatenate([np.zeros(n), np.ones(n), np.zeros(2 * n), np.ones(2 * n)])
    order = np.concatenate([np.arange(3 * n).reshape(3, n).T.ravel(),
                            3 * n + np.arange(3 * n).reshape(3, n).T.ravel()])  # fmt: skip
    q = np.concatenate([np.zeros(n), np.ones(n), np.zeros(n)])
    kinds = [clarabel.ExponentialConeT()] * (2 * n)
    return _empty(3 * n, 3 * n), q, A[order], (right[order], kinds)


def _empty(m, n):
    return sparse.csc_matrix((m, n))


def _row(*parts):
    return sparse.hstack(parts, format="csc")
