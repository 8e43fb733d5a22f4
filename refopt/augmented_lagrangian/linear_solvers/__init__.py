"""Solvers of the Newton system, and what they are given.

A solver is a function ``solve(system, rhs, tol, state) -> (d, info)``: d with
``|K d - rhs| <= tol |rhs|`` for the `KKTSystem`, and a `SolveInfo`. ``state`` is a
dict that lives as long as the run: factors that serve again, random numbers.
"""

from ._direct import direct
from ._menu import choose
from ._system import KKTSystem, SolveInfo

__all__ = ["KKTSystem", "SolveInfo", "choose", "direct"]
