"""Models that come trained."""

from refopt import _validate
from refopt.deep_conjugate._multilevel import MultilevelNet


def load_model(name):
    """A trained model by its name.

    Parameters
    ----------
    name : {"poisson-multilevel"}
        The network of `MultilevelNet`, for pressure matrices on grids of every size.

    Returns
    -------
    MultilevelNet

    Raises
    ------
    ValueError
        There is no model of this name.

    Examples
    --------
    >>> from refopt import load_model
    >>> load_model("poisson-multilevel").is_stable()
    True
    """
    _validate.choice(name, "name", ("poisson-multilevel",))
    return MultilevelNet()
