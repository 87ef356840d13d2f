"""The suite as other processors would run it: `make test-processors`, or `python tests/on_other_processors.py PATH...`.

torch, MKL, OpenBLAS and numpy choose their kernels by what the processor can do, and different kernels add the same
numbers in different orders. Variables make them choose as on an older processor. A setting that this one cannot follow
is said and not run, and one that rounds as another does here is said to.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

CAPABILITIES = ("DEFAULT", "AVX2", "AVX512")
"""As torch names them, each with the kernels of those before."""


VARIABLES = ("ATEN_CPU_CAPABILITY", "MKL_CBWR", "OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES")


@dataclass(frozen=True)
class Setting:
    """What makes libraries choose the kernels of another processor.

    ``numpy_without`` are the beginnings of names of instruction sets that numpy is told not to use.
    """

    name: str
    torch: str
    mkl: str
    openblas: str
    numpy_without: tuple[str, ...]

    def variables(self, numpy_has):
        """The environment; ``numpy_has`` are the instruction sets that numpy has found here."""
        without = [name for name in numpy_has if name.startswith(self.numpy_without)] if self.numpy_without else []
        values = (self.torch, self.mkl, self.openblas, " ".join(without))
        return {key: value for key, value in zip(VARIABLES, values, strict=True) if value}

    def refusal(self, native):
        """Why a processor with the capability ``native`` cannot follow; empty where it can."""
        wanted = self.torch.upper()
        able = CAPABILITIES.index(wanted) <= CAPABILITIES.index(native) if native in CAPABILITIES else False
        return "" if able else f"this processor has {native} and lacks {wanted}"


SETTINGS = (
    Setting("oldest", "default", "COMPATIBLE", "Nehalem", ("X86_V3", "X86_V4", "AVX")),
    Setting("avx2", "avx2", "AVX2", "Haswell", ("X86_V4", "AVX512")),
    Setting("avx512", "avx512", "AVX512", "SkylakeX", ()),
)

LOOK = """
import hashlib, json
import numpy as np, torch
rng = np.random.default_rng(0)
A, b = rng.standard_normal((60, 37)), rng.standard_normal(37)
X, y = torch.from_numpy(A), torch.from_numpy(b)
S = X.T @ X
found = [S, torch.linalg.solve(S, y), torch.linalg.eigvalsh(S), torch.softmax(X, 1), X.exp(), X @ y]
found += map(torch.from_numpy, [A.T @ A, np.linalg.solve(A.T @ A, b), np.exp(A), A @ b])
digest = hashlib.sha256(b"".join(one.contiguous().numpy().tobytes() for one in found)).hexdigest()
has = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
print(json.dumps({"capability": torch.backends.cpu.get_cpu_capability(), "digest": digest, "numpy": has}))
"""


def environment(variables):
    """This one, with these variables and no others of their kind."""
    return {key: value for key, value in os.environ.items() if key not in VARIABLES} | variables


def looked_at(variables):
    """What torch says of itself in this environment, a digest of how it and numpy round, and what numpy has found."""
    command = [sys.executable, "-c", LOOK]
    done = subprocess.run(command, env=environment(variables), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def counts(report):
    """The numbers of tests, failures and errors that pytest's XML report holds."""
    suites = ET.parse(report).getroot().iter("testsuite")
    numbers = [[int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")] for suite in suites]
    tests, failures, errors, skipped = map(sum, zip(*numbers, strict=True))
    return f"{tests - failures - errors - skipped} passed, {failures} failed, {errors} errors, {skipped} skipped"


def run(variables, arguments):
    """Run pytest in this environment; whether all is well, and counts."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *arguments]
        code = subprocess.run(command, env=environment(variables), check=False).returncode
        return code == 0, counts(report) if report.exists() else f"pytest ended with {code} and no report"


def main(arguments):
    if platform.machine().lower() not in ("x86_64", "amd64"):
        print(f"The settings name x86-64 kernels; on {platform.machine()} none was run.")
        return 1
    native = looked_at({})
    seen, lines, ends = {native["digest"]: "this processor by itself"}, [], []
    for setting in SETTINGS:
        refusal = setting.refusal(native["capability"])
        variables = setting.variables(native["numpy"])
        found = None if refusal else looked_at(variables)
        if found is not None and found["capability"] != setting.torch.upper():
            refusal = f"torch took the kernels of {found['capability']}"
        if refusal or found is None:
            lines.append(f"{setting.name}: NOT RUN, {refusal}")
            continue
        print(f"== {setting.name}: {' '.join(f'{key}={value!r}' for key, value in variables.items())}", flush=True)
        passed, said = run(variables, arguments)
        ends.append(passed)
        same = seen.get(found["digest"])
        seen[found["digest"]] = setting.name
        lines.append(f"{setting.name}: {said}" + (f"; rounds as {same} does" if same else ""))
    print("\n".join(["", "== the suite on other processors", *lines]))
    return 0 if ends and all(ends) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
