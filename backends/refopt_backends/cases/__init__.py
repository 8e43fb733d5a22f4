"""Seeded example arguments of every kernel, one module per family.

``cases(xp, rng)`` yields `refopt_backends.testing.Case` objects, in the same
order for every namespace `xp`; random numbers are drawn from the NumPy
generator `rng` on the host and moved with ``xp.asarray``.
"""
