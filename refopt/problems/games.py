"""Matrix games: payments of the column player, who minimises, to the row player.

Every generator is a function of its sizes and its seed only. The value of a
game A is ``min_x max_y y'Ax``.
"""

import numpy as np

__all__ = [
    "gaussian_game",
    "low_rank_game",
    "nemirovski_1",
    "nemirovski_2",
    "policeman_burglar",
    "uniform_game",
]


def policeman_burglar(n=500, seed=1):
    """Houses in a row, one of which the burglar robs while the policeman watches another.

    Parameters
    ----------
    n : int
        Number of houses.
    seed : int, default 1
        Seed of the wealth w of the houses, absolute values of normal numbers.

    Returns
    -------
    ndarray, shape (n, n)
        ``A[i, j] = w[j] (1 - exp(-0.8 |i - j|))``.
    """
    wealth = np.abs(np.random.RandomState(seed).randn(n))
    places = np.arange(n)
    distance = np.abs(places[:, None] - places[None, :])
    return wealth[None, :] * (1.0 - np.exp(-0.8 * distance))


def nemirovski_1(n, exponent=2.0):
    """The first of Nemirovski's test games, with a pure equilibrium.

    Parameters
    ----------
    n : int
        Number of rows and columns.
    exponent : float
        See Returns.

    Returns
    -------
    ndarray, shape (n, n)
        ``A[i, j] = ((i + j - 1)/(2 n - 1)) ** exponent``, i and j counted from 1.
        The value is ``(n/(2 n - 1)) ** exponent``, at the last row and the first column.
    """
    i = np.arange(1, n + 1)
    return ((i[:, None] + i[None, :] - 1) / (2 * n - 1)) ** exponent


def nemirovski_2(n, exponent=2.0):
    """The second of Nemirovski's test games: keep near the other player.

    Parameters
    ----------
    n : int
        Number of rows and columns.
    exponent : float
        See Returns.

    Returns
    -------
    ndarray, shape (n, n)
        ``A[i, j] = ((|i - j| + 1)/(2 n - 1)) ** exponent``. For even n and
        exponent 2 the row player mixes the two ends and the column player the
        two middle strategies.
    """
    i = np.arange(1, n + 1)
    return ((np.abs(i[:, None] - i[None, :]) + 1) / (2 * n - 1)) ** exponent


def gaussian_game(m, n, seed=1):
    """Independent normal payments, about half of all strategies in the equilibrium.

    Parameters
    ----------
    m, n : int
        Number of rows and columns.
    seed : int, default 1
        Seed of `numpy.random.RandomState`.

    Returns
    -------
    ndarray, shape (m, n)
    """
    return np.random.RandomState(seed).randn(m, n)


def uniform_game(m, n, seed=1):
    """Independent payments, uniform between -1 and 1.

    Parameters
    ----------
    m, n : int
        Number of rows and columns.
    seed : int, default 1
        Seed of `numpy.random.RandomState`.

    Returns
    -------
    ndarray, shape (m, n)
    """
    return np.random.RandomState(seed).uniform(-1, 1, (m, n))


def low_rank_game(m, n, rank=8, noise=0.1, seed=1):
    """Payments of low rank and noise, hard for methods with one step length.

    Parameters
    ----------
    m, n : int
        Number of rows and columns.
    rank : int
        Of the product of two normal matrices.
    noise : float
        Standard deviation of what is added to it.
    seed : int, default 1
        Seed of `numpy.random.RandomState`.

    Returns
    -------
    ndarray, shape (m, n)
    """
    rng = np.random.RandomState(seed)
    return rng.randn(m, rank) @ rng.randn(rank, n) + noise * rng.randn(m, n)
