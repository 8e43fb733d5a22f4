"""Call every benchmark once, on its smallest parameters with a backend that is here.

    python asv_benchmarks/smoke.py

Exits with 1 if a benchmark fails, or none of its backends is installed.
"""

import importlib
import inspect
import pkgutil
import sys
import traceback

import benchmarks
from benchmarks.common import Benchmark

PREFIXES = ("time_", "peakmem_", "track_")


def main():
    """Run the benchmarks, say what was run, and return the number of failures."""
    count = failures = 0
    for cls in benchmark_classes():
        for name, method in inspect.getmembers(cls, inspect.isfunction):
            if not name.startswith(PREFIXES):
                continue
            count += 1
            label = f"{cls.__module__}.{cls.__name__}.{name}"
            try:
                print(f"{label}: {run(cls, method)}", flush=True)
            except Exception:
                failures += 1
                print(f"{label}: FAILED\n{traceback.format_exc()}", flush=True)
    print(f"{count - failures} of {count} benchmarks passed")
    return failures or not count


def benchmark_classes():
    """Yield every benchmark class of every module."""
    for info in pkgutil.iter_modules(benchmarks.__path__):
        module = importlib.import_module(f"benchmarks.{info.name}")
        for _, cls in inspect.getmembers(module, inspect.isclass):
            shared = cls.__name__.startswith("_")  # asv skips these, too
            if issubclass(cls, Benchmark) and cls.__module__ == module.__name__ and not shared:
                yield cls


def run(cls, method):
    """Run one method on the first parameters, preferring compiled kernels."""
    *others, backends = cls.params
    first = [values[0] for values in others]
    for backend in sorted(backends, key=lambda name: name != "numba"):
        try:
            benchmark = cls()
            benchmark.setup(*first, backend)
        except NotImplementedError:
            continue
        value = method(benchmark, *first, backend)
        return f"{(*first, backend)} {'' if value is None else f'{value:.3g}'}".rstrip()
    raise RuntimeError(f"no backend of {backends} is installed")


if __name__ == "__main__":
    sys.exit(bool(main()))
