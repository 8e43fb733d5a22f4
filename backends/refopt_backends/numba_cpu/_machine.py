"""Machine-level pieces that Numba lacks: an exp that vectorises, bit counts."""

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import types
from numba.extending import intrinsic

# Leaf functions that meet no NaN; infinities are allowed.
NO_NAN = {"reassoc", "nsz", "arcp", "contract", "afn", "nnan"}

_LOG2_E = 1.4426950408889634
_LN2_HIGH = 6.93147180369123816490e-01  # a short mantissa: k * _LN2_HIGH is exact
_LN2_LOW = 1.90821492927058770002e-10


@intrinsic
def _as_double(typing_context, bits):
    """The float64 with the given bit pattern."""

    def generate(context, builder, signature, args):
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), generate


@intrinsic
def _as_single(typing_context, bits):
    """The float32 with the given bit pattern."""

    def generate(context, builder, signature, args):
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic
def lowest_bit(typing_context, word):
    """Position of the lowest set bit of a uint32 that has one."""

    def generate(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint32(types.uint32), generate


@intrinsic
def count_bits(typing_context, word):
    """Number of set bits of a uint32."""

    def generate(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.uint32(types.uint32), generate


@njit(inline="always", fastmath=NO_NAN)
def exp(t):
    """e^t to 1e-14 for t in [-700, 700]; 0 below, e^700 above.

    e^t = 2^k e^r with |r| <= log(2)/2: a Taylor polynomial of degree 11 in r
    and an addition to the exponent bits. Branch-free, so that a loop over a
    contiguous array uses vector instructions.
    """
    u = t if t > -700.0 else -700.0
    u = u if u < 700.0 else 700.0
    k = np.floor(u * _LOG2_E + 0.5)
    r = (u - k * _LN2_HIGH) - k * _LN2_LOW
    p = 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    # Through int32: the direct conversion to int64 is slow without AVX512DQ.
    power = _as_double((np.int64(np.int32(k)) + np.int64(1023)) << np.int64(52))
    return p * power if t >= -700.0 else 0.0


_S_LOG2_E, _S_HALF, _S_ONE = np.float32(_LOG2_E), np.float32(0.5), np.float32(1.0)
_S_LN2_HIGH, _S_LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_S_3, _S_4, _S_5, _S_6 = (np.float32(1.0 / k) for k in (6.0, 24.0, 120.0, 720.0))
_S_LOWEST, _S_HIGHEST, _S_ZERO = np.float32(-87.0), np.float32(87.0), np.float32(0.0)


@njit(inline="always", fastmath=NO_NAN)
def exp_single(t):
    """e^t to 2e-7 for float32 t in [-87, 87]; 0 below, e^87 above. As `exp`, degree 6."""
    u = t if t > _S_LOWEST else _S_LOWEST
    u = u if u < _S_HIGHEST else _S_HIGHEST
    k = np.floor(u * _S_LOG2_E + _S_HALF)
    r = (u - k * _S_LN2_HIGH) - k * _S_LN2_LOW
    p = _S_6 * r + _S_5
    p = p * r + _S_4
    p = p * r + _S_3
    p = p * r + _S_HALF
    p = p * r + _S_ONE
    p = p * r + _S_ONE
    power = _as_single((np.int32(k) + np.int32(127)) << np.int32(23))
    return p * power if t >= _S_LOWEST else _S_ZERO
