"""Convolutions of 3 x 3 x 3 with zero padding, in words of the Array-API standard.

Fields are (channels, n0, n1, n2), weights W (out, in, 3, 3, 3), and

    (W * x)_o(v) = sum_{i, s} W[o, i, s] x_i(v + s - (1, 1, 1)),    x = 0 outside.
"""

from refopt_backends._home import namespace_of


def conv3d_forward(x, W, bias, relu, residual):
    """W * x + bias, its negative part cut off if `relu`, plus `residual` if there is one."""
    xp = namespace_of(x)
    padded = _padded(xp, x)
    y = xp.zeros((W.shape[0], *x.shape[1:]), dtype=x.dtype) + bias[:, None, None, None]
    for a, b, c in _shifts():
        y = y + xp.tensordot(W[:, :, a, b, c], _shifted(padded, x, a, b, c), axes=1)
    if relu:
        y = xp.maximum(y, xp.zeros_like(y))
    return y if residual is None else y + residual


def conv3d_backward_data(dy, W):
    """The adjoint of x -> W * x: the convolution with W flipped, its channels exchanged."""
    xp = namespace_of(dy)
    flipped = xp.permute_dims(xp.flip(W, axis=(2, 3, 4)), (1, 0, 2, 3, 4))
    bias = xp.zeros(W.shape[1], dtype=dy.dtype)
    return conv3d_forward(dy, flipped, bias, False, None)


def conv3d_backward_weights(x, dy):
    """The adjoint of W -> W * x: sum over v of dy_o(v) x_i(v + s - (1, 1, 1))."""
    xp = namespace_of(x)
    padded = _padded(xp, x)
    axes = ((1, 2, 3), (1, 2, 3))
    parts = [xp.tensordot(dy, _shifted(padded, x, *s), axes=axes) for s in _shifts()]
    return xp.reshape(xp.stack(parts, axis=2), (dy.shape[0], x.shape[0], 3, 3, 3))


def pool2(x):
    """Means over blocks of 2 x 2 x 2; extents are even."""
    xp = namespace_of(x)
    c, n0, n1, n2 = x.shape
    return xp.mean(xp.reshape(x, (c, n0 // 2, 2, n1 // 2, 2, n2 // 2, 2)), axis=(2, 4, 6))


def upsample2_add(coarse, fine):
    """Every value of `coarse` on its block of 2 x 2 x 2, plus `fine`."""
    for axis in (1, 2, 3):
        coarse = namespace_of(fine).repeat(coarse, 2, axis=axis)
    return coarse + fine


def _shifts():
    return [(a, b, c) for a in range(3) for b in range(3) for c in range(3)]


def _padded(xp, x):
    c, n0, n1, n2 = x.shape
    padded = xp.zeros((c, n0 + 2, n1 + 2, n2 + 2), dtype=x.dtype)
    padded[:, 1:-1, 1:-1, 1:-1] = x
    return padded


def _shifted(padded, x, a, b, c):
    _, n0, n1, n2 = x.shape
    return padded[:, a : a + n0, b : b + n1, c : c + n2]
