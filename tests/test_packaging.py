"""What is shipped, what an import costs, and who may import whom."""

import ast
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import fresh_python
import refopt
import refopt_backends

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"refopt": ROOT / "refopt", "refopt_backends": ROOT / "backends" / "refopt_backends"}
FAMILIES = {
    "block_coordinate",
    "deep_conjugate",
    "augmented_lagrangian",
    "halpern",
    "transport",
    "convex_relu",
}


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """File names inside the wheel and inside the sdist, built from this folder."""
    folder = tmp_path_factory.mktemp("dist")
    for target in ("wheel", "sdist"):
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    with tarfile.open(sdist) as archive:
        in_sdist = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}
    return wheel.name, in_wheel, in_sdist


def sources(folder, pattern):
    return {p.relative_to(folder).as_posix() for p in folder.rglob(pattern)}


def test_the_wheel_holds_two_packages_and_nothing_else(distributions):
    name, files, _ = distributions
    version = re.escape(refopt.__version__)
    assert re.match(rf"refopt-{version}-py3-none-any\.whl", name)
    top = {f.partition("/")[0] for f in files}
    assert top == {"refopt", "refopt_backends", f"refopt-{refopt.__version__}.dist-info"}


def test_the_wheel_holds_every_module_and_every_cuda_file(distributions):
    _, files, _ = distributions
    for package, folder in PACKAGES.items():
        for pattern in ("*.py", "*.cu", "*.cuh", "py.typed"):
            assert {f"{package}/{f}" for f in sources(folder, pattern)} <= files
    assert "refopt/py.typed" in files
    assert any(f.endswith(".cu") for f in files)


def test_both_distributions_hold_the_trained_models(distributions):
    _, in_wheel, in_sdist = distributions
    found = {f"refopt/{f}" for f in sources(PACKAGES["refopt"], "*.npz")}
    assert "refopt/deep_conjugate/models/dcdm-cnn-8ch.npz" in found
    assert found <= in_wheel and found <= in_sdist


def test_the_sdist_can_build_and_test_the_wheel(distributions):
    _, _, files = distributions
    for folder in (*PACKAGES.values(), ROOT / "tests"):
        prefix = folder.relative_to(ROOT).as_posix()
        for pattern in ("*.py", "*.cu", "*.cuh"):
            assert {f"{prefix}/{f}" for f in sources(folder, pattern)} <= files
    assert {"pyproject.toml", "README.md", "LICENSE", "backends/README.md"} <= files


def test_no_folder_of_the_repository_claims_a_global_name():
    for folder in ("backends", "tests", "docs", "asv_benchmarks"):
        assert not (ROOT / folder / "__init__.py").exists()


def test_both_packages_come_from_one_root():
    home = Path(refopt.__file__).resolve().parents[1]
    other = Path(refopt_backends.__file__).resolve().parents[1]
    assert other in (home, home / "backends"), (
        "refopt and refopt_backends come from different places: "
        "run `pytest`, not `python -m pytest`, after an installation that is not editable"
    )


def test_both_packages_and_the_citation_have_one_version():
    assert refopt.__version__ == refopt_backends.__version__
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited.group(1) == refopt.__version__
    assert f"\n## {refopt.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("package", ["refopt", "refopt_backends"])
def test_an_import_loads_no_compiler_no_solver_and_no_device(package):
    loaded = fresh_python.run(f"import sys, {package}; print(*sys.modules, sep='\\n')").split()
    heavy = {"numba", "llvmlite", "cupy", "matplotlib", "sklearn", "tqdm", "array_api_compat"}
    assert not heavy & {m.partition(".")[0] for m in loaded}
    assert not {m for m in loaded if re.match(r"scipy\.(optimize|sparse|linalg|stats)\b", m)}


def test_an_import_adds_few_modules_to_numpy():
    # A stand-in for a time limit: 0.1 s is about two hundred small modules.
    code = "import sys, numpy; n = len(sys.modules); import refopt; print(len(sys.modules) - n)"
    assert int(fresh_python.run(code)) < 60


# Import direction, read from the syntax trees


def imported(path, package):
    """Absolute names of all modules that a file imports, at any depth of its text."""
    parts = [package, *path.relative_to(PACKAGES[package]).with_suffix("").parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            stem = ".".join(parts[: -node.level]) if node.level else ""
            module = ".".join(filter(None, [stem, node.module]))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def all_imports():
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            for name in imported(path, package):
                yield package, path.relative_to(folder), name


def test_mathematics_knows_no_compiler_and_backends_know_no_mathematics():
    forbidden = {
        "refopt": {"numba", "cupy", "cupyx"},
        "refopt_backends": {"refopt"},
    }
    seen = list(all_imports())
    assert ("refopt", Path("__init__.py")) in {(p, f) for p, f, _ in seen}
    wrong = [(p, str(f), n) for p, f, n in seen if n.partition(".")[0] in forbidden[p]]
    assert wrong == []


def test_a_backend_imports_no_library_but_its_own():
    own = {"reference": set(), "numba_cpu": {"numba"}, "cupy_gpu": {"cupy", "cupyx"}}
    libraries = {"numba", "cupy", "cupyx"}
    wrong = [
        (str(file), name)
        for package, file, name in all_imports()
        if package == "refopt_backends"
        and name.partition(".")[0] in libraries - own.get(file.parts[0], set())
    ]
    assert wrong == []


def test_families_do_not_import_one_another():
    wrong = []
    for package, file, name in all_imports():
        mine = FAMILIES & {p.removesuffix(".py") for p in file.parts}
        others = FAMILIES & set(name.split(".")[1:])
        if mine and name.partition(".")[0] == package and others - mine:
            wrong.append((str(file), name))
    assert wrong == []


SETTERS = {
    *("filterwarnings", "simplefilter", "resetwarnings", "catch_warnings"),
    *("seterr", "seterrcall", "set_printoptions", "set_num_threads", "threadpool_limits"),
    *("putenv", "unsetenv", "seed", "setlocale", "setrecursionlimit"),
}


def sets_state(node):
    """Whether a syntax node sets something that the whole process shares."""
    if isinstance(node, ast.Subscript):
        return isinstance(node.ctx, ast.Store | ast.Del) and "environ" in ast.unparse(node.value)
    if isinstance(node, ast.Call):
        *owner, name = ast.unparse(node.func).split(".")
        changed = name in {"update", "setdefault", "pop", "clear"} and "environ" in owner
        return name in SETTERS or changed
    return False


def test_the_library_sets_no_state_of_the_whole_process():
    found = [
        f"{package}/{path.relative_to(folder)}:{node.lineno}"
        for package, folder in PACKAGES.items()
        for path in sorted(folder.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if sets_state(node)
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "os.environ['OMP_NUM_THREADS'] = '1'",
        "environ.setdefault('A', 'b')",
        "warnings.simplefilter('ignore')",
        "numba.set_num_threads(1)",
    ],
)
def test_setting_such_state_is_noticed(line):
    assert any(sets_state(node) for node in ast.walk(ast.parse(line)))
