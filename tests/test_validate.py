"""Intake of arguments and random numbers: what is taken, and what a refusal says."""

import math
from fractions import Fraction

import numpy as np
import pytest

from refopt import _rng, _validate

strict = pytest.importorskip("array_api_strict")

# Arrays


@pytest.mark.parametrize("value", [1.5, 2, True, [1, 2], [[1.0], [2.0]], (1, 2), range(3)])
def test_numbers_and_sequences_become_numpy_arrays(value):
    array = _validate.as_array(value, "x")
    assert isinstance(array, np.ndarray)
    np.testing.assert_array_equal(array, np.asarray(value))


def test_arrays_of_any_library_stay():
    for array in (np.ones(3), strict.ones(3), np.ones((2, 2), "f4")):
        assert _validate.as_array(array, "x") is array


def test_sparse_arrays_are_refused_before_they_are_filled():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="x must be a dense array, got the sparse coo_array"):
        _validate.as_array(sparse.coo_array(np.eye(3)), "x")


def test_uneven_lists():
    with pytest.raises(ValueError, match="x must be an array, got nested lists of uneven length"):
        _validate.as_array([[1, 2], [3]], "x")


@pytest.mark.parametrize("xp", [np, strict], ids=["numpy", "strict"])
def test_dtypes_become_one_of_two(xp):
    for name in ("float64", "int32", "int64", "uint8", "bool"):
        array = _validate.real_array(xp, xp.ones((2, 3), dtype=getattr(xp, name)), "x", 2)
        assert array.dtype == xp.float64
    assert _validate.real_array(xp, xp.ones(3, dtype=xp.float32), "x", 1).dtype == xp.float32


def test_what_is_right_already_is_not_copied():
    for array in (np.ones((3, 4)), np.ones(3, "f4")):
        assert np.shares_memory(_validate.real_array(np, array, "x", array.ndim), array)
    fortran = np.ones((3, 4), order="F")
    kept = _validate.real_array(np, fortran, "x", 2, keep_order=True)
    assert np.shares_memory(kept, fortran)
    assert _validate.real_array(np, fortran, "x", 2).flags.c_contiguous


@pytest.mark.parametrize(
    "array",
    [
        np.ones((4, 6))[::2, ::3],
        np.ones((4, 6))[::-1],
        np.asfortranarray(np.ones((4, 6))),
        np.broadcast_to(np.float64(1), (3, 4)),
        np.ones((4, 6), ">f8"),
        np.ones((4, 6), ">f4"),
    ],
)
def test_compiled_kernels_get_contiguous_native_arrays(array):
    out = _validate.real_array(np, array, "x", 2)
    assert out.flags.c_contiguous and out.dtype.isnative
    np.testing.assert_array_equal(out, array)


@pytest.mark.parametrize("array", [np.ones(2, complex), strict.ones(2, dtype=strict.complex64)])
def test_complex_numbers(array):
    with pytest.raises(TypeError, match=r"x must be real, got dtype complex\d+"):
        _validate.real_array(array.__array_namespace__(), array, "x", 1)


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None]), np.array(["1970"], "M8[s]")])
def test_no_numbers(array):
    with pytest.raises(TypeError, match="x must hold real numbers, got dtype"):
        _validate.real_array(np, array, "x", 1)


@pytest.mark.parametrize(("shape", "ndim"), [((), 1), ((3,), 2), ((2, 2), 1), ((1, 2, 3), 2)])
def test_dimensions(shape, ndim):
    with pytest.raises(ValueError, match=rf"x must be {ndim}-dimensional, got {len(shape)} "):
        _validate.real_array(np, np.ones(shape), "x", ndim)


@pytest.mark.parametrize("xp", [np, strict], ids=["numpy", "strict"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_finiteness_names_the_first_place(xp, bad):
    values = [[1.0, 2.0, 3.0], [4.0, bad, bad]]
    with pytest.raises(ValueError, match=rf"x must be finite, got {bad} at \[1, 1\]"):
        _validate.all_finite(xp, xp.asarray(values), "x")
    fine = xp.asarray([[1.0, 2.0]])
    assert _validate.all_finite(xp, fine, "x") is fine
    assert _validate.all_finite(xp, xp.zeros((0, 2)), "x").shape == (0, 2)


# Numbers


@pytest.mark.parametrize("value", [1, 2.5, np.float32(3), Fraction(1, 3), np.array(2.0), True])
def test_positive_takes_anything_like_a_number(value):
    number = _validate.positive(value, "x")
    assert type(number) is float and number == pytest.approx(float(value))


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_positive_refuses_values(value):
    with pytest.raises(ValueError, match=r"x must be positive and finite, got .*; hint"):
        _validate.positive(value, "x", "; hint")


@pytest.mark.parametrize("value", [-1e-300, math.nan, math.inf])
def test_nonnegative_refuses_values(value):
    with pytest.raises(ValueError, match="x must be nonnegative and finite"):
        _validate.nonnegative(value, "x")
    assert _validate.nonnegative(0, "x") == 0.0


@pytest.mark.parametrize("value", [None, "1", b"1", 1j, [1, 2], np.ones(2), object()])
def test_numbers_refuse_types(value):
    for check in (_validate.positive, _validate.nonnegative, _validate.real_number):
        with pytest.raises(TypeError, match="x must be a real number"):
            check(value, "x")


@pytest.mark.parametrize("value", [0, 3, np.int32(4), np.uint8(5), True])
def test_counts(value):
    number = _validate.count(value, "x")
    assert type(number) is int or isinstance(value, bool)
    assert number == value


@pytest.mark.parametrize("value", [1.0, "1", None, np.float64(2), [1]])
def test_counts_refuse_what_is_no_integer(value):
    with pytest.raises(TypeError, match="x must be an integer"):
        _validate.count(value, "x")


def test_counts_have_a_least_value():
    with pytest.raises(ValueError, match="x must be at least 2, got 1"):
        _validate.count(1, "x", least=2)


@pytest.mark.parametrize("value", ["other", 1, None, np.ones(2), ["a"]])
def test_choices_list_what_is_known(value):
    with pytest.raises(ValueError, match="x must be one of 'a', 'b', got"):
        _validate.choice(value, "x", ("a", "b"))
    assert _validate.choice(None, "x", (None, "a")) is None


# Random numbers


def test_seeds_make_generators_and_generators_stay():
    one, two = _rng.generator(7), _rng.generator(np.random.SeedSequence(7))
    assert one.random() == two.random() == np.random.default_rng(7).random()
    stream = np.random.default_rng(1)
    assert _rng.generator(stream) is stream
    assert _rng.generator(None).random() != _rng.generator(None).random()
    assert isinstance(_rng.generator([1, 2, 3]), np.random.Generator)


@pytest.mark.parametrize("bad", ["seed", 1.5, object()])
def test_what_cannot_seed(bad):
    with pytest.raises(TypeError, match="rng must be a seed or a Generator"):
        _rng.generator(bad)


def test_legacy_random_states_are_refused():
    with pytest.raises(TypeError, match="RandomState"):
        _rng.generator(np.random.RandomState(0))


def test_negative_seeds_say_so():
    with pytest.raises(ValueError, match=r"non-negative|nonnegative|expected"):
        _rng.generator(-1)
