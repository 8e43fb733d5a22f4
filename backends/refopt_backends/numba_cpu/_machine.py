"""Machine-level pieces that Numba lacks: an exp that vectorises, bit counts."""

import math

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
    k = math.floor(u * _LOG2_E + 0.5)
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
