"""Models that come trained."""

from importlib.resources import files
from io import BytesIO

from refopt import _validate
from refopt.deep_conjugate._dcdm_net import DCDMNet
from refopt.deep_conjugate._multilevel import MultilevelNet


def load_model(name):
    """A trained model by its name.

    Parameters
    ----------
    name : {"poisson-multilevel", "dcdm-cnn-8ch"}
        The network of `MultilevelNet`, for pressure matrices on grids of every size, and a
        `DCDMNet` of 8 channels, trained on six scenes of 32 x 32 x 32 cells.

    Returns
    -------
    MultilevelNet or DCDMNet

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
    _validate.choice(name, "name", ("poisson-multilevel", "dcdm-cnn-8ch"))
    if name == "poisson-multilevel":
        return MultilevelNet()
    file = files("refopt.deep_conjugate") / "models" / "dcdm-cnn-8ch.npz"
    return DCDMNet.load(BytesIO(file.read_bytes()))
