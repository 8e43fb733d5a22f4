"""The paper's network: 3 x 3 x 3 convolutions on two levels of a grid."""

import math
from itertools import pairwise
from typing import Any

import numpy as np

from refopt import _validate
from refopt._rng import generator
from refopt.deep_conjugate._model_files import read_model, write_model
from refopt_backends import euclidean_norm, resolve

# Multiplications of one convolution below which the automatic backend is the reference.
SMALL = 2**16

# Variant -> pairs of convolutions at the fine level, the coarse one, and the fine one again.
_PAIRS = {"64": (2, 3, 2), "128": (3, 5, 2)}


class DCDMNet:
    r"""The convolutional network of deep conjugate directions.

    Maps a residual on a grid of cells to a search direction,
    :math:`f(r) \approx s A^{-1} r` with a scale `s` that is left open, by 3 x 3 x 3
    convolutions `C` with zero padding, each with weights of its own, and

    .. math:: (C x)_o(v) = c_o + \sum_{i, s} W_{ois}\, x_i(v + s).

    With ``variant="64"``, :math:`\sigma(x) = \max(x, 0)` and one channel in `r`:

    1. ``la = σC(C(r))``, ``lb = σC(la)``, then ``la = σC(lb) + la``, ``lb = σC(la)``;
    2. ``p`` = means of ``lb`` over blocks of 2 x 2 x 2, and three times
       ``p = σC(σC(p)) + p``;
    3. ``v`` = ``lb`` plus ``p`` copied to its blocks, and twice ``v = σC(σC(v)) + v``;
    4. the direction is a weighted sum of the channels of ``v`` and a constant.

    ``variant="128"`` repeats the second half of 1 and has five pairs in 2.

    Parameters
    ----------
    variant : {"64", "128"}
        The network that the authors train on grids of 64 or of 128 cells a side; each works
        on grids of any size.
    channels : int
        Channels of every layer but the first and last, even; 16 in the paper.
    params : array of shape (n_params,), optional
        Weights and biases, layer after layer. Single precision unless they are float64. By
        default they are drawn uniformly from :math:`\pm 1/\sqrt{27 c}` for `c` channels at a
        layer's entry.
    rng : None, int or numpy.random.Generator
        For drawing `params`.

    Attributes
    ----------
    variant, channels : str, int
        As given.
    params : ndarray of shape (n_params,)
        Weights and biases; not to be written to.
    meta : dict
        What a file says about itself: problem and seed of the training.

    Raises
    ------
    ValueError
        Unknown variant, channels not even and positive, `params` of another length or not
        finite.

    See Also
    --------
    train_direction_network : Find the parameters.
    load_model : Trained ones.

    Notes
    -----
    An evaluation costs about ``54 channels**2`` operations per cell and convolution, of which
    the fine level has 8 or 10 and the coarse one, an eighth of the cells, 6 or 10: 122 000 per
    cell for 16 channels, where a step of conjugate gradients costs 25. It needs memory for about
    five fields of `channels` channels; `forward` keeps them all, for `backward`.

    On a grid ``A``, ``model.setup(A)`` gives ``r -> f(sqrt(n) r/||r||)`` restricted to the fluid
    cells: the network is not homogeneous, its training was for entries of order one. Extents
    are filled up with zeros to even ones.

    References
    ----------
    A. Kaneda, O. Akar, J. Chen, V. Kala, D. Hyde, J. Teran, "A deep conjugate direction method
    for iteratively solving linear systems", ICML 2023, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from refopt import DCDMNet
    >>> net = DCDMNet("64", channels=8, rng=0)
    >>> net.n_params
    24537
    >>> net.forward(np.ones((6, 4, 4))).shape
    (6, 4, 4)
    """

    def __init__(self, variant="64", channels=16, params=None, rng=None):
        self.variant = _validate.choice(variant, "variant", tuple(_PAIRS))
        self.channels = _validate.count(channels, "channels", 2)
        if self.channels % 2:
            raise ValueError(f"channels must be even, got {channels}")
        fine, coarse, again = _PAIRS[variant]
        ch = self.channels
        self._shapes = [(ch, 1, 3, 3, 3)] + 2 * (fine + coarse + again) * [(ch, ch, 3, 3, 3)]
        self._shapes.append((1, ch, 1, 1, 1))
        ends = np.cumsum([math.prod(s) + s[0] for s in self._shapes])
        self._bounds = list(pairwise([0, *map(int, ends)]))
        self.params = self._drawn(generator(rng)) if params is None else self._checked(params)
        self.meta: dict[str, Any] = {}
        self._tape: list | None = None

    @property
    def n_params(self):
        """Number of weights and biases.

        Returns
        -------
        int
        """
        return self._bounds[-1][1]

    def forward(self, r):
        """The direction on a grid; everything that `backward` needs is kept.

        Parameters
        ----------
        r : array of shape (n0, n1, n2)
            The residual, entries of order one, zero in cells that are not fluid. Even extents.

        Returns
        -------
        array of shape (n0, n1, n2)
            In the precision of `params`.

        Raises
        ------
        ValueError
            Not three even extents, or entries that are not finite.
        """
        r = _validate.as_array(r, "r")
        xp, kernels = resolve(r, names=("r",), small=self._small(r))
        r = _validate.all_finite(xp, _validate.real_array(xp, r, "r", 3), "r")
        if any(n % 2 for n in r.shape):
            raise ValueError(f"r must have even extents, got shape {tuple(r.shape)}")
        self._tape = []
        return self._direction(xp, kernels, self._layers(xp), r, self._tape)

    def backward(self, grad):
        """Derivatives of a function of the last `forward` by the parameters.

        Parameters
        ----------
        grad : array of shape (n0, n1, n2)
            Derivatives of the function by the direction.

        Returns
        -------
        array of shape (n_params,)

        Raises
        ------
        RuntimeError
            There was no `forward`, or `backward` was called already.
        ValueError
            `grad` has another shape than the direction.
        """
        if not self._tape:
            raise RuntimeError("backward must be called after forward, once")
        tape, self._tape = self._tape, None
        r, grad = tape[0][1][0, ...], _validate.as_array(grad, "grad")
        xp, kernels = resolve(grad, r, names=("grad", "r"), small=self._small(grad))
        grad = _validate.real_array(xp, grad, "grad", 3)
        if grad.shape != r.shape:
            raise ValueError(f"grad must have shape {tuple(r.shape)}, got {tuple(grad.shape)}")
        grad = xp.astype(grad, r.dtype, copy=False)
        return self._derivatives(xp, kernels, self._layers(xp), grad, tape)

    def with_params(self, params):
        """The same network with other parameters.

        Parameters
        ----------
        params : array of shape (n_params,)
            Weights and biases.

        Returns
        -------
        DCDMNet
        """
        return DCDMNet(self.variant, self.channels, params)

    def setup(self, A):
        """The network as a map of residuals on a grid of cells.

        Parameters
        ----------
        A : PoissonGrid
            Three-dimensional.

        Returns
        -------
        callable
            Takes a residual (n,), returns a direction (n,).

        Raises
        ------
        TypeError, ValueError
            `A` is no PoissonGrid, or has other than three dimensions.
        """
        if not hasattr(A, "to_grid"):
            raise TypeError(f"A must be a PoissonGrid for a DCDMNet, got {type(A).__name__}")
        if A.cells.ndim != 3:
            raise ValueError(f"A must have 3 dimensions for a DCDMNet, got {A.cells.ndim}")
        return GridDirection(self, A)

    def save(self, file):
        """Write parameters and what they are to a file.

        Parameters
        ----------
        file : str, path or file
            Written in NumPy's ``.npz`` format, whose ending is added to names without it.
        """
        shape = {"variant": self.variant, "channels": self.channels}
        write_model(file, "DCDMNet", self.params, shape | {"about": self.meta})

    @staticmethod
    def load(file):
        """Read a network that `save` wrote.

        Parameters
        ----------
        file : str, path or file
            As for `save`.

        Returns
        -------
        DCDMNet

        Raises
        ------
        ValueError
            The file holds no such network.
        """
        params, meta = read_model(file, "DCDMNet")
        net = DCDMNet(meta.get("variant"), meta.get("channels"), params)
        net.meta = meta.get("about", {})
        return net

    def _drawn(self, rng):
        parts = []
        for shape in self._shapes:
            bound = 1 / math.sqrt(27 * shape[1])
            parts.append(rng.uniform(-bound, bound, math.prod(shape) + shape[0]))
        return np.concatenate(parts).astype(np.float32)

    def _checked(self, params):
        params = _validate.as_array(params, "params")
        resolve(params, names=("params",), small=True)
        params = _validate.real_array(np, params, "params", 1)
        if params.size != self.n_params:
            raise ValueError(f"params must have {self.n_params} entries, got {params.size}")
        return _validate.all_finite(np, params.copy(), "params")

    def _small(self, r):
        return self.channels**2 * math.prod(np.shape(r)) < SMALL

    def _layers(self, xp):
        """(W, c) of every layer, as views of the parameters."""
        params = xp.asarray(self.params)
        layers = []
        for shape, (first, last) in zip(self._shapes, self._bounds, strict=True):
            weights = params[first : last - shape[0]]
            layers.append((xp.reshape(weights, shape), params[last - shape[0] : last]))
        return layers

    def _direction(self, xp, kernels, layers, r, tape=None):
        """f(r) on a grid of even extents; what the derivatives need goes to `tape`."""
        fine, coarse, again = _PAIRS[self.variant]
        layer = iter(layers)

        def conv(x, relu=True, residual=None):
            W, c = next(layer)
            if tape is None:
                return kernels.conv3d_forward(x, W, c, relu, residual)
            y = kernels.conv3d_forward(x, W, c, relu, None)
            tape.append((W, x, y if relu else None))
            return y if residual is None else y + residual

        r = xp.astype(r, layers[0][0].dtype, copy=False)[None, ...]
        la = conv(conv(r, relu=False))
        lb = conv(la)
        for _ in range(fine - 1):
            la = conv(lb, residual=la)
            lb = conv(la)
        p = kernels.pool2(lb)
        for _ in range(coarse):
            p = conv(conv(p), residual=p)
        v = kernels.upsample2_add(p, lb)
        for _ in range(again):
            v = conv(conv(v), residual=v)
        w, c = next(layer)
        if tape is not None:
            tape.append((w, v, None))
        return xp.tensordot(xp.reshape(w, (-1,)), v, axes=1) + c

    def _derivatives(self, xp, kernels, layers, grad, tape):
        """The text of `_direction` from its end to its beginning."""
        fine, coarse, again = _PAIRS[self.variant]
        parts = []

        def back(dy, data=True):
            W, x, y = tape.pop()
            if y is not None:
                dy = dy * (y > 0)
            parts.append(xp.sum(dy, axis=(1, 2, 3)))
            parts.append(xp.reshape(kernels.conv3d_backward_weights(x, dy), (-1,)))
            return kernels.conv3d_backward_data(dy, W) if data else None

        w, v, _ = tape.pop()
        parts.append(xp.reshape(xp.sum(grad), (1,)))
        parts.append(xp.tensordot(v, grad, axes=((1, 2, 3), (0, 1, 2))))
        dv = xp.reshape(w, (-1, 1, 1, 1)) * grad[None, ...]
        for _ in range(again):
            dv = dv + back(back(dv))
        dp = 8 * kernels.pool2(dv)
        for _ in range(coarse):
            dp = dp + back(back(dp))
        dlb = kernels.upsample2_add(dp / 8, dv)
        dla = back(dlb)
        for _ in range(fine - 1):
            dlb = back(dla)
            dla = dla + back(dlb)
        back(back(dla), data=False)
        return xp.concat(parts[::-1])


class GridDirection:
    """A network on the cells of one grid, a function of residuals."""

    def __init__(self, net, A):
        self.net, self.A = net, A
        self._cells = tuple(slice(n) for n in A.cells.shape)
        self._even = tuple(n + n % 2 for n in A.cells.shape)
        self._layers: dict[Any, list] = {}  # per namespace: parameters are moved once

    @np.errstate(over="ignore", invalid="ignore")
    def __call__(self, r):
        xp, kernels = resolve(r, small=self.net._small(self.A.cells))
        if xp not in self._layers:
            self._layers[xp] = self.net._layers(xp)
        norm = euclidean_norm(r)
        r = r * (math.sqrt(r.shape[0]) / norm if norm > 0 else 0.0)
        X = self._even_grid(xp, r)
        D = self.net._direction(xp, kernels, self._layers[xp], X)
        return self.A.from_grid(D[self._cells])

    def with_tape(self, net, r):
        """The direction of `net` for r/||r||, which `net.backward` can follow."""
        r = r * (math.sqrt(r.shape[0]) / euclidean_norm(r))
        return self.A.from_grid(net.forward(self._even_grid(self.A.xp, r))[self._cells])

    def pulled_back(self, net, gradient):
        """Derivatives by the parameters, from those by the direction of `with_tape`."""
        return net.backward(self._even_grid(self.A.xp, gradient))

    def _even_grid(self, xp, x):
        """x on the cells, filled up to even extents."""
        X = self.A.to_grid(x)
        if tuple(X.shape) == self._even:
            return X
        whole = xp.zeros(self._even, dtype=X.dtype)
        whole[self._cells] = X
        return whole
