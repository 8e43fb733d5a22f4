"""A sum of operators that the tests of monotone inclusions share."""

import numpy as np

from refopt.problems import row_sum

DETERMINISTIC = ["forward", "eg", "eag", "forb", "popov", "fbf"]
SUMS = ["vr-eg", "vr-forb", "l-svrg", "vr-halpern", "inexact-halpern"]
PROBLEM = row_sum(60, 3, decay=1.0, seed=5)
OPERATOR = PROBLEM.operator()
START = np.zeros(6)


class Counting:
    """A user's function that counts the components it is asked for."""

    def __init__(self, problem=PROBLEM):
        self.problem, self.count, self.calls = problem, 0, 0

    def __call__(self, z, index=None):
        self.calls += 1
        self.count += self.problem.u.size if index is None else len(index)
        return self.problem.batch(z, index)
