"""What the documentation shows is what happens, and it shows every public name."""

import doctest
import importlib
import pkgutil
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import refopt
import refopt.plot
import refopt_backends
from refopt_backends import _select

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["README.md", "docs/index.md", "docs/guide/quickstart.md", "docs/guide/backends.md"]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NUMBER = re.compile(r"(?<![\w.])-?\d+\.?\d*(?:[eE][-+]?\d+)?(?![\w.])")
ROUNDING_LEVEL = 1e-8  # where digits are an accident of the machine


@pytest.fixture(autouse=True)
def backends_as_before(monkeypatch):
    """Forget the backends that examples register."""
    for table in ("_registered", "_tables"):
        monkeypatch.setattr(_select, table, dict(getattr(_select, table)))


class SameNumbers(doctest.OutputChecker):
    """Equal text, and numbers equal in about the digits that are printed."""

    def check_output(self, want, got, flags):
        if super().check_output(want, got, flags):
            return True
        pairs = list(zip(NUMBER.findall(want), NUMBER.findall(got), strict=False))
        text_is_equal = NUMBER.sub("#", want).split() == NUMBER.sub("#", got).split()
        return text_is_equal and all(self._alike(w, g) for w, g in pairs)

    @staticmethod
    def _alike(want, got):
        if want == got:
            return True
        if want.lstrip("-").isdigit():  # a count
            return False
        w, g = float(want), float(got)
        if max(abs(w), abs(g)) <= ROUNDING_LEVEL:
            return True
        mantissa = want.lower().partition("e")[0].replace("-", "").replace(".", "").lstrip("0")
        return abs(w - g) <= 2 * 10.0 ** (1 - len(mantissa)) * abs(w)


def blocks(page):
    """Line number and text of every Python block of a Markdown page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for match in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        yield text.count("\n", 0, match.start()) + 1, match[1]


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_run_as_shown(page):
    """One namespace per page; blocks with prompts must print what they show."""
    namespace, parser = {"__name__": "docs"}, doctest.DocTestParser()
    runner = doctest.DocTestRunner(SameNumbers(), verbose=False, optionflags=FLAGS)
    report = []
    for line, block in blocks(page):
        if "cupy" in block and find_spec("cupy") is None:
            compile(block, page, "exec")
        elif ">>>" not in block:
            exec(compile("\n" * line + block, page, "exec"), namespace)
        else:
            examples = parser.get_examples(block)
            test = doctest.DocTest(examples, namespace, page, page, line, block)
            runner.run(test, out=report.append, clear_globs=False)
            namespace = test.globs
    assert not runner.failures, "".join(report)


def modules():
    """Every module that can be imported here."""
    for package in (refopt, refopt_backends):
        yield package.__name__
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if ".cupy_gpu" not in found.name and not found.name.endswith("__main__"):
                yield found.name


@pytest.mark.parametrize("name", list(modules()))
def test_docstring_examples_run_as_shown(name):
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(SameNumbers(), verbose=False, optionflags=FLAGS)
    report = []
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)


def test_the_api_page_lists_every_public_name():
    page = (ROOT / "docs/api/index.md").read_text(encoding="utf-8")
    listed = {name.rpartition(".")[2] for name in re.findall(r"^ {3}([\w.]+)$", page, re.MULTILINE)}
    families = (
        refopt.transport, refopt.block_coordinate, refopt.halpern, refopt.problems, refopt.plot,
        refopt.proximal, refopt.deep_conjugate,
    )  # fmt: skip
    public = {refopt: refopt.__all__, refopt_backends: refopt_backends.__all__}
    public |= {m: m.__all__ for m in families}
    modules = ("__version__", *refopt._MODULES)
    missing = {
        name
        for names in public.values()
        for name in names
        if name not in listed and name not in modules
    }
    assert not missing


def test_the_theory_page_states_the_constants_of_the_code():
    from refopt.transport import _newton

    page = (ROOT / "docs/theory/transport.md").read_text(encoding="utf-8")
    stated = re.findall(r"^\| `(_[A-Z_]+)` \| (\S+) \|", page, re.MULTILINE)
    assert stated
    assert {k: float(v) for k, v in stated} == {k: getattr(_newton, k) for k, _ in stated}
