"""Compiled kernels: the disk cache, its fall-back, forks and threads."""

import os
import textwrap
import threading

import pytest

import fresh_python
from refopt_backends.numba_cpu import _jit

DEMO = textwrap.dedent("""
    import numba
    import numpy as np
    from refopt_backends.numba_cpu._jit import FAST, jit, parallel_jit, run_parallel

    @jit(fastmath=FAST)
    def row_sums_serial(A):
        out = np.empty(A.shape[0])
        for i in range(A.shape[0]):
            out[i] = A[i].sum()
        return out

    @parallel_jit(fastmath=FAST)
    def row_sums_parallel(A):
        out = np.empty(A.shape[0])
        for i in numba.prange(A.shape[0]):
            out[i] = A[i].sum()
        return out

    @jit
    def reciprocal(x):
        return 1.0 / x

    def row_sums(A):
        return run_parallel(A.size, row_sums_parallel, row_sums_serial, A)
""")


@pytest.fixture
def demo(tmp_path):
    """A folder with a module `demo` of kernels."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "demo.py").write_text(DEMO)
    return folder


def run_demo(folder, code, **environment):
    """Run `code` after ``import demo``; the disk cache is where Numba puts it by default."""
    start = f"import sys; sys.path.insert(0, {str(folder)!r}); import demo; import numpy as np\n"
    environment = {"NUMBA_CACHE_DIR": None, "PYTHONDONTWRITEBYTECODE": None} | environment
    return fresh_python.run(start + textwrap.dedent(code), cwd=folder, **environment).split()


CALL_AND_COUNT_CACHE_HITS = """
    assert demo.row_sums_serial(np.ones((3, 4))).tolist() == [4.0, 4.0, 4.0]
    print(sum(demo.row_sums_serial.stats.cache_hits.values()))
"""


def test_a_second_process_takes_the_compiled_kernel_from_the_disk(demo):
    assert run_demo(demo, CALL_AND_COUNT_CACHE_HITS) == ["0"]
    assert run_demo(demo, CALL_AND_COUNT_CACHE_HITS) == ["1"]


def test_a_kernel_runs_where_no_cache_can_be_written(demo, tmp_path):
    # Permission bits do not bind root, so the two places are blocked by plain
    # files: __pycache__ cannot be a folder, nor can anything lie below HOME.
    (demo / "__pycache__").write_text("")
    blocked = tmp_path / "not_a_folder"
    blocked.write_text("")
    home = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"), blocked / "home")
    for _ in range(2):
        assert run_demo(demo, CALL_AND_COUNT_CACHE_HITS, **home) == ["0"]
    assert sorted(p.name for p in demo.iterdir()) == ["__pycache__", "demo.py"]


def test_other_errors_of_the_compiler_are_not_taken_for_a_missing_cache(monkeypatch):
    def broken(**options):
        raise RuntimeError("something else")

    monkeypatch.setattr(_jit.numba, "njit", broken)
    with pytest.raises(RuntimeError, match="something else"):
        _jit.jit(top_level)


def test_division_by_zero_is_infinite_as_in_numpy(demo):
    assert run_demo(demo, "print(demo.reciprocal(0.0))") == ["inf"]


def top_level(x):
    return x


def test_a_nested_function_is_refused():
    def nested(x):
        return x

    with pytest.raises(TypeError, match="top-level"):
        _jit.jit(nested)


def test_one_function_cannot_be_both_twins():
    def twin(x):
        return x

    twin.__qualname__ = "twin"
    _jit.jit(twin)
    with pytest.raises(TypeError, match="name of its own"):
        _jit.parallel_jit(twin)


def test_small_work_runs_on_one_thread():
    assert _jit.threads_for(_jit.PARALLEL_FROM - 1) == 1
    assert _jit.threads_for(_jit.PARALLEL_FROM) == _jit.numba.get_num_threads()


def test_the_users_thread_count_is_obeyed():
    before = _jit.numba.get_num_threads()
    try:
        _jit.numba.set_num_threads(1)
        assert _jit.threads_for(10**9) == 1
    finally:
        _jit.numba.set_num_threads(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_runs_serially_after_the_parent_ran_in_parallel(demo):
    out = run_demo(
        demo,
        """
        import os, signal
        from refopt_backends.numba_cpu._jit import threads_for
        A = np.ones((512, 256))
        assert demo.row_sums(A).sum() == A.size
        assert demo.row_sums_parallel.signatures          # the threads are awake
        assert not demo.row_sums_serial.signatures
        print(threads_for(A.size), flush=True)
        child = os.fork()
        if child == 0:
            signal.alarm(60)                              # a child that waits for ever is ended
            good = demo.row_sums(A).sum() == A.size and threads_for(A.size) == 1
            os._exit(0 if good and demo.row_sums_serial.signatures else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), threads_for(A.size))
        """,
        NUMBA_NUM_THREADS=3,
    )
    assert out == ["3", "0", "3"]


def test_four_threads_at_once_under_the_layer_that_forbids_it(demo):
    # Numba's workqueue layer, the one its wheels always have, ends the process
    # when two threads enter it; the exit code is what is tested here.
    out = run_demo(
        demo,
        """
        import threading
        A = np.arange(2.0**17).reshape(512, 256)
        right = demo.row_sums_serial(A)
        demo.row_sums_parallel(A)
        start, wrong = threading.Barrier(4), []
        def work():
            start.wait()
            for _ in range(200):
                if not np.allclose(demo.row_sums(A), right, rtol=1e-14):
                    wrong.append(1)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for t in threads: t.start()
        for t in threads: t.join()
        import numba
        print(len(wrong), numba.threading_layer())
        """,
        NUMBA_NUM_THREADS=4,
        NUMBA_THREADING_LAYER="workqueue",
    )
    assert out == ["0", "workqueue"]


def test_whoever_comes_second_runs_the_serial_twin(monkeypatch):
    monkeypatch.setattr(_jit, "threads_for", lambda work: 2)
    inside, leave, first = threading.Event(), threading.Event(), []

    def parallel():
        inside.set()
        assert leave.wait(60)
        return "parallel"

    def call():
        return _jit.run_parallel(10**6, parallel, lambda: "serial")

    thread = threading.Thread(target=lambda: first.append(call()))
    thread.start()
    assert inside.wait(60)
    assert call() == "serial"
    leave.set()
    thread.join()
    assert first == ["parallel"]
    assert call() == "parallel"


def test_an_error_in_the_parallel_twin_frees_the_threads(monkeypatch):
    monkeypatch.setattr(_jit, "threads_for", lambda work: 2)
    with pytest.raises(ZeroDivisionError):
        _jit.run_parallel(1, lambda: 1 / 0, lambda: "serial")
    assert _jit.run_parallel(1, lambda: "parallel", lambda: "serial") == "parallel"
