"""The one iteration driver: what every algorithm gets from it, shown on toy algorithms."""

import math

import numpy as np
import pytest
from scipy.optimize import OptimizeResult

from refopt import _driver, _status
from refopt._driver import Iterate


def halving(x=1.0, final=lambda k: True, end=None, closed=None):
    """x, x/2, x/4, ...; error x. Ends itself after `end` iterates if asked."""
    k = 0
    try:
        while end is None or k < end:
            yield Iterate(np.array([x]), x * x, x, {"k": float(k)}, final(k))
            x *= 0.5
            k += 1
        return _status.STALLED, "as told"
    finally:
        if closed is not None:
            closed.append(True)


def view(iterate, nit):
    return OptimizeResult(x=iterate.x.copy(), fun=iterate.fun, nit=nit)


def run(algorithm=None, **options):
    options = {"tol": 1e-3, "maxiter": 100, "view": view} | options
    return _driver.run(halving() if algorithm is None else algorithm, **options)


# How it ends


def test_it_stops_at_the_tolerance():
    out = run()
    assert out.status == _status.CONVERGED
    assert out.nit == 10  # 2^-10 < 1e-3 < 2^-9
    assert out.best.error == 2.0**-10
    assert out.history["error"].tolist() == [2.0**-k for k in range(11)]


def test_a_solved_start_takes_no_iteration():
    out = run(tol=1.0)
    assert (out.status, out.nit, len(out.history["error"])) == (_status.CONVERGED, 0, 1)


@pytest.mark.parametrize("maxiter", [0, 1, 5])
def test_it_stops_at_maxiter(maxiter):
    out = run(maxiter=maxiter)
    assert (out.status, out.nit) == (_status.MAXITER, maxiter)
    assert out.best.error == 2.0**-maxiter


def test_reaching_the_tolerance_at_maxiter_is_success():
    assert run(maxiter=10).status == _status.CONVERGED


def test_the_time_limit():
    out = run(time_limit=0.0, tol=0)
    assert (out.status, out.nit) == (_status.TIME_LIMIT, 0)
    assert run(time_limit=3600.0).status == _status.CONVERGED


def test_an_algorithm_may_end_itself():
    out = run(halving(end=3), tol=0)
    assert (out.status, out.detail, out.nit) == (_status.STALLED, "as told", 2)


def test_an_algorithm_that_just_ends_has_stalled():
    def short():
        yield Iterate(0.0, 0.0, 1.0)

    out = run(short())
    assert (out.status, out.detail, out.nit) == (_status.STALLED, "", 0)


def test_the_algorithm_is_closed_whatever_the_end():
    for options in ({}, {"maxiter": 2}, {"time_limit": 0.0}):
        closed = []
        run(halving(closed=closed), **options)
        assert closed


# Which iterate is returned


def errors(*values, final=None):
    for k, value in enumerate(values):
        yield Iterate(k, float(k), value, final=True if final is None else final[k])


def test_the_best_iterate_is_kept_and_of_equal_ones_the_newest():
    assert run(errors(3.0, 1.0, 2.0, 1.0, 4.0)).best.x == 3


def test_the_converged_iterate_is_returned_though_an_earlier_one_was_no_worse():
    assert run(errors(3.0, 5e-4)).best.x == 1


def test_iterates_of_a_continuation_neither_converge_nor_win():
    out = run(errors(1e-9, 0.5, 0.7, final=[False, False, True]))
    assert out.status == _status.STALLED
    assert out.best.x == 2


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_non_finite_numbers_end_the_run_with_the_best_finite_iterate(bad):
    out = run(errors(2.0, 1.0, bad, 0.0))
    assert (out.status, out.nit, out.best.x) == (_status.BREAKDOWN, 2, 1)


def test_a_nan_objective_is_a_breakdown_too():
    def algorithm():
        yield Iterate(0, 0.0, 1.0)
        yield Iterate(1, math.nan, 1e-9)

    out = run(algorithm())
    assert (out.status, out.best.x) == (_status.BREAKDOWN, 0)


def test_a_start_that_is_not_finite_is_all_there_is():
    out = run(errors(math.nan))
    assert (out.status, out.nit, out.best.x) == (_status.BREAKDOWN, 0, 0)


# History


def test_history_has_one_entry_per_iterate():
    out = run(maxiter=6, measure="residual")
    assert set(out.history) == {"time", "fun", "residual", "k"}
    for column in out.history.values():
        assert column.shape == (7,) and column.dtype == float
    assert out.history["k"].tolist() == list(range(7))
    assert (np.diff(out.history["time"]) >= 0).all() and out.history["time"][0] >= 0


# Callback


def test_the_callback_is_served_after_every_iteration():
    seen = []
    run(maxiter=4, callback=seen.append)
    assert [r.nit for r in seen] == [1, 2, 3, 4]
    assert [r.x[0] for r in seen] == [0.5, 0.25, 0.125, 0.0625]


def test_a_parameter_of_that_name_is_passed_by_keyword():
    seen = []

    def callback(*, intermediate_result):
        seen.append(intermediate_result.nit)

    run(maxiter=2, callback=callback)
    assert seen == [1, 2]


@pytest.mark.parametrize("with_default", [False, True])
def test_any_other_parameter_is_passed_by_position(with_default):
    seen = []

    def one(xk):
        seen.append(xk.nit)

    def two(xk, verbose=False):
        seen.append(xk.nit)

    run(maxiter=2, callback=two if with_default else one)
    assert seen == [1, 2]


def test_objects_and_methods_may_be_callbacks():
    class Watch:
        def __init__(self):
            self.seen = []

        def __call__(self, intermediate_result):
            self.seen.append(intermediate_result.nit)

        def method(self, intermediate_result):
            self(intermediate_result)

    watch = Watch()
    run(maxiter=2, callback=watch)
    run(maxiter=2, callback=watch.method)
    assert watch.seen == [1, 2, 1, 2]


def test_stop_iteration_ends_the_run():
    def stop(intermediate_result):
        if intermediate_result.nit == 3:
            raise StopIteration

    out = run(callback=stop)
    assert (out.status, out.nit, out.best.error) == (_status.CALLBACK_STOP, 3, 0.125)
    assert len(out.history["fun"]) == 4


def test_stopping_at_the_solution_is_success():
    def stop(intermediate_result):
        if intermediate_result.nit == 10:
            raise StopIteration

    assert run(callback=stop).status == _status.CONVERGED


def test_other_errors_of_the_callback_reach_the_user():
    def fail(intermediate_result):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        run(callback=fail)


def test_the_callbacks_return_value_does_not_matter():
    assert run(callback=lambda intermediate_result: True).status == _status.CONVERGED


def test_what_is_not_callable_is_refused_before_any_work():
    def never():
        raise AssertionError("began")
        yield

    with pytest.raises(TypeError, match="callback must be callable, got int"):
        run(never(), callback=3)


def test_check_every_serves_seldom_but_always_at_the_end():
    seen = []
    run(check_every=4, callback=seen.append)
    assert [r.nit for r in seen] == [4, 8, 10]


# Display


def test_nothing_is_printed_unless_asked(capsys):
    run()
    assert capsys.readouterr() == ("", "")


def test_display_prints_every_iteration_or_every_nth(capsys):
    run(disp=True, measure="residual")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 11
    assert "residual 5.000e-01" in lines[1] and "fun" in lines[1] and "k 1" in lines[1]
    run(disp=5)
    assert [int(line.split()[0]) for line in capsys.readouterr().out.splitlines()] == [0, 5, 10]
    run(disp=True, check_every=5)
    assert len(capsys.readouterr().out.splitlines()) == 3


# The table of messages


@pytest.mark.parametrize("status", _status.MESSAGES)
def test_every_status_has_a_message_with_its_figures(status):
    text = _status.message(status, measure="some error", error=0.25, tol=1e-3, detail="And so on.")
    assert text.endswith(" And so on.")
    if status != _status.INFEASIBLE:
        assert "some error" in text and "0.25" in text
    assert "{" not in text
    assert text != _status.message(
        (status + 1) % len(_status.MESSAGES), measure="some error", error=0.25, tol=1e-3
    )


def test_codes_are_those_of_the_documentation():
    names = "CONVERGED MAXITER CALLBACK_STOP STALLED BREAKDOWN INFEASIBLE TIME_LIMIT"
    assert [getattr(_status, name) for name in names.split()] == list(range(7))
