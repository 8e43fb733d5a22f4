"""Random numbers after SPEC 7: every public function takes `rng`."""

import numpy as np


def generator(rng):
    """The NumPy generator that `rng` stands for.

    Parameters
    ----------
    rng : None, int, array of int, SeedSequence, BitGenerator or Generator
        None draws fresh entropy; a Generator is used as it is, so that a
        caller's stream goes on.

    Returns
    -------
    numpy.random.Generator

    Raises
    ------
    TypeError
        `rng` is a legacy ``RandomState`` or cannot seed a generator.
    """
    if isinstance(rng, np.random.RandomState):
        raise TypeError("rng must be a numpy.random.Generator or a seed, got a RandomState")
    try:
        return np.random.default_rng(rng)
    except TypeError as error:
        raise TypeError(f"rng must be a seed or a Generator, got {type(rng).__name__}") from error
