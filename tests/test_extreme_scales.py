"""Arguments of extreme size or without variety: an answer or a refusal by name, and no warning."""

import re

import numpy as np
import pytest

from test_public_functions import TABLE, WITH_ARRAYS, call

# Functions of the user, in the table, that square their argument.
OWN_FUNCTIONS = {"minimize_equality", "adasketch_newton"}
# Whose functions index more than one entry.
OWN_SHAPE = {"minimize_equality"}


def each_and_all(arrays, change):
    """The changed arrays one at a time, then together."""
    for name, x in arrays.items():
        yield {name: change(x)}
    if len(arrays) > 1:
        yield {name: change(x) for name, x in arrays.items()}


def answer(name, changes):
    """The result, or the words of a refusal."""
    try:
        return call(name, **changes)
    except (ValueError, TypeError) as error:
        return str(error)


def assert_answers_or_refuses(name, changes):
    result = answer(name, changes)
    if isinstance(result, str):
        assert re.match(r"[\w \[\]]+ (must|is|has|have|needs) ", result), result
    elif getattr(result, "success", None):
        for value in map(np.asarray, TABLE[name].values(result)):
            assert value.dtype.kind != "f" or not np.isnan(value).any()


@pytest.mark.parametrize("scale", [1e-200, 1e200])
@pytest.mark.parametrize("name", WITH_ARRAYS)
def test_entries_of_extreme_size(name, scale):
    if name in OWN_FUNCTIONS:
        scale = min(scale, 1e3)
    for changes in each_and_all(TABLE[name].arrays, lambda x: x * scale):
        assert_answers_or_refuses(name, changes)


@pytest.mark.parametrize("name", WITH_ARRAYS)
def test_zeros(name):
    for changes in each_and_all(TABLE[name].arrays, np.zeros_like):
        assert_answers_or_refuses(name, changes)


@pytest.mark.parametrize("name", [name for name in WITH_ARRAYS if name not in OWN_SHAPE])
def test_one_row(name):
    for changes in each_and_all(TABLE[name].arrays, lambda x: x[:1]):
        assert_answers_or_refuses(name, changes)


@pytest.mark.parametrize("name", [name for name in WITH_ARRAYS if name not in OWN_SHAPE])
def test_one_entry(name):
    entries = {key: x[(slice(0, 1),) * x.ndim] for key, x in TABLE[name].arrays.items()}
    assert_answers_or_refuses(name, entries)


@pytest.mark.parametrize("name", WITH_ARRAYS)
def test_rows_that_are_all_equal(name):
    equal = {key: np.repeat(x[:1], len(x), 0) for key, x in TABLE[name].arrays.items()}
    assert_answers_or_refuses(name, equal)
