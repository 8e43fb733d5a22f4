"""The stand-in refuses what CuPy refuses, and what a GPU would silently misread."""

import operator
from importlib import import_module

import numpy as np
import pytest

CODE = """
extern "C" __global__ void scaled(const REAL* x, REAL t, int n, REAL* y) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = t * x[i];
}"""


@pytest.fixture
def scaled(cupy):
    return cupy.RawModule(code=CODE, options=("-DREAL=float",)).get_function("scaled")


def good_arguments(cupy):
    x = cupy.arange(12, dtype=np.float32).reshape(3, 4)
    return [x, np.float32(2), np.int32(12), cupy.empty((3, 4), np.float32)]


def test_a_kernel_with_the_right_arguments_runs(cupy, scaled):
    x, _, _, y = args = good_arguments(cupy)
    scaled((1,), (32,), tuple(args))
    np.testing.assert_array_equal(y.get(), 2 * x.get())


@pytest.mark.parametrize(
    ("place", "wrong", "error"),
    [
        (0, lambda cupy, x: x.get(), TypeError),  # a host pointer
        (0, lambda cupy, x: x.T, ValueError),  # Fortran order in a row-major kernel
        (0, lambda cupy, x: x.astype(np.float64), TypeError),
        (1, lambda cupy, t: 2.0, TypeError),  # eight bytes where four are read
        (1, lambda cupy, t: np.float64(2), TypeError),
        (2, lambda cupy, n: 12, TypeError),
        (2, lambda cupy, n: cupy.asarray(n), TypeError),
    ],
)
def test_a_kernel_argument_of_the_wrong_kind_is_refused(cupy, scaled, place, wrong, error):
    args = good_arguments(cupy)
    args[place] = wrong(cupy, args[place])
    with pytest.raises(error, match=f"argument {place} of scaled"):
        scaled((1,), (32,), tuple(args))


def test_a_wrong_number_of_arguments_is_refused(cupy, scaled):
    with pytest.raises(TypeError, match="takes 4 arguments"):
        scaled((1,), (32,), tuple(good_arguments(cupy))[:-1])


def test_a_kernel_that_does_not_compile_says_why(cupy):
    module = cupy.RawModule(code='extern "C" __global__ void k(int n) { undeclared = n; }')
    with pytest.raises(Exception, match="undeclared"):
        module.get_function("k")


def test_no_array_reaches_the_host_unasked(cupy):
    x = cupy.ones(3)
    for convert in (np.asarray, lambda x: np.ones(3) + x, lambda x: x * np.ones(3)):
        with pytest.raises(TypeError, match=r"Implicit conversion|Unsupported type"):
            convert(x)
    with pytest.raises(TypeError, match="Unsupported type"):
        cupy.maximum(x, np.ones(3))
    with pytest.raises(TypeError, match="Unsupported type"):
        operator.setitem(x, slice(None), np.ones(3))
    assert type(cupy.asnumpy(x)) is type(x.get()) is np.ndarray


def test_results_stay_on_the_device(cupy):
    x = cupy.asarray(np.arange(6.0).reshape(2, 3))
    results = (x + 1, np.exp(x), x.sum(), cupy.max(x, axis=0), x[0], x[x > 2], 2 < x, x.T, x @ x.T)
    assert {type(r) for r in results} == {cupy.ndarray}
    assert float(x.sum()) == 15


def test_what_numpy_has_and_cupy_has_not_is_missing(cupy):
    x = cupy.ones(3)
    for call in (
        lambda: cupy.clip(x, min=0),
        lambda: cupy.sum(x, where=x > 0),
        lambda: cupy.argsort(x, stable=True),
        lambda: cupy.zeros(3, device="cpu"),
    ):
        with pytest.raises(TypeError, match=r"argument"):
            call()
    assert not hasattr(x, "__array_namespace__")


def test_empty_arrays_are_not_zeros(cupy):
    assert np.isnan(cupy.empty(4).get()).all()
    assert (cupy.empty(4, np.int32).get() == -1).all()


def test_dispatch_takes_its_arrays_for_cupys(cupy):
    from refopt_backends import resolve

    xp, kernels = resolve(cupy.ones(3))
    assert xp is cupy
    assert kernels.name == "cupy"
    with pytest.raises(TypeError, match="cupy"):
        resolve(np.ones(3), cupy.ones(3))


def test_sparse_matrices_are_cupys(cupy):
    sparse, linalg = (import_module(f"cupyx.scipy.sparse{part}") for part in ("", ".linalg"))
    dense = np.diag([4.0, 5.0, 6.0]) + np.eye(3, k=1)
    A = sparse.csr_matrix(cupy.asarray(dense))
    b = cupy.asarray([1.0, 2.0, 3.0])
    stacked = sparse.bmat([[A, None], [A.T, sparse.eye(3)]], format="csr")
    assert type(stacked) is sparse.csr_matrix and stacked.nnz == 2 * A.nnz + 3
    for solved in (linalg.splu(A.tocsc()).solve(b), linalg.spsolve(A, b)):
        assert type(solved) is cupy.ndarray
        np.testing.assert_allclose((A @ solved).get(), b.get())
    symmetric = A + A.T
    x, info = linalg.minres(symmetric, b, tol=1e-12)
    assert info == 0 and type(x) is cupy.ndarray
    np.testing.assert_allclose((symmetric @ x).get(), b.get())
    for call in (
        lambda: linalg.minres(symmetric, b, rtol=1e-12),  # the tolerance is called tol
        lambda: linalg.splu(dense),
        lambda: linalg.splu(A).solve(b.get()),
        lambda: A @ b.get(),
        lambda: A.multiply(A.tocsc()),
    ):
        with pytest.raises(TypeError):
            call()


def test_transforms_of_the_first_type_are_missing(cupy):
    library = import_module("cupyx.scipy.fft")
    x = cupy.asarray([1.0, 2.0, 4.0])
    np.testing.assert_allclose(library.idst(library.dst(x)).get(), x.get())
    with pytest.raises(NotImplementedError):
        library.dst(x, type=1)
    with pytest.raises(TypeError, match="workers"):
        library.dctn(x, workers=2)
