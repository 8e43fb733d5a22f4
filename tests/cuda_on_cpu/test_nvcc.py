"""Every ``.cu`` file compiles for the GPUs in use, without spilling registers."""

import re
import shutil
import subprocess

import pytest

from cuda_on_cpu import harness

NVCC = shutil.which("nvcc")
ARCHITECTURES = (75, 80, 90, 120)


@pytest.mark.skipif(not NVCC, reason="no nvcc on this machine")
@pytest.mark.parametrize("real", ["float", "double"])
@pytest.mark.parametrize("name", harness.files())
def test_compiles_for_every_architecture_without_spills(name, real, tmp_path):
    file = harness.FOLDER / name
    listed = subprocess.run([NVCC, "--list-gpu-arch"], capture_output=True, text=True, check=True)
    known = [a for a in ARCHITECTURES if f"compute_{a}\n" in listed.stdout]
    if not known:
        pytest.skip(f"this nvcc knows none of {ARCHITECTURES}")
    targets = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in known]
    command = [NVCC, "-fatbin", f"-DREAL={real}", "-Xptxas=-v", "-Werror=all-warnings", *targets]
    done = subprocess.run(
        [*command, "-o", tmp_path / "kernels", file], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    spills = [int(b) for b in re.findall(r"(\d+) bytes spill", done.stderr)]
    kernels = len(re.findall("__global__", file.read_text()))
    assert len(spills) == 2 * kernels * len(known)  # stores and loads
    assert not any(spills), done.stderr
