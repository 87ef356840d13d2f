"""What the runs on other processors set, and what they say where this processor cannot follow."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests are imported by path: their neighbours are not a package

import on_other_processors
from on_other_processors import SETTINGS, main

FOUND = ["X86_V3", "X86_V4", "AVX512_ICL"]


def pretending(monkeypatch, *, native, digest=str, passes=True):
    """A processor of that capability, and a pytest that ends at once; the environments it was given."""
    given = []

    def looked_at(variables):
        capability = variables.get("ATEN_CPU_CAPABILITY", native).upper()
        return {"capability": capability, "digest": digest(variables), "numpy": FOUND}

    def run(variables, arguments):
        given.append((variables, arguments))
        return passes, "7 passed, 0 failed, 0 errors, 0 skipped"

    monkeypatch.setattr(on_other_processors, "looked_at", looked_at)
    monkeypatch.setattr(on_other_processors, "run", run)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    return given


def test_each_setting_chooses_the_kernels_of_every_library(monkeypatch, capsys):
    given = pretending(monkeypatch, native="AVX512")
    assert main(["-q"]) == 0
    assert [arguments for _, arguments in given] == [["-q"]] * 3
    assert [variables["ATEN_CPU_CAPABILITY"] for variables, _ in given] == ["default", "avx2", "avx512"]
    assert [variables["MKL_CBWR"] for variables, _ in given] == ["COMPATIBLE", "AVX2", "AVX512"]
    assert [variables.get("NPY_DISABLE_CPU_FEATURES") for variables, _ in given] == [
        "X86_V3 X86_V4 AVX512_ICL",
        "X86_V4 AVX512_ICL",
        None,
    ]
    assert capsys.readouterr().out.count("7 passed") == 3


def test_a_setting_that_a_processor_cannot_follow_is_said_and_not_run(monkeypatch, capsys):
    given = pretending(monkeypatch, native="AVX2")
    assert main([]) == 0
    assert len(given) == 2
    assert "avx512: NOT RUN, this processor has AVX2 and lacks AVX512" in capsys.readouterr().out


@pytest.mark.parametrize("native", ["SVE256", "ZVECTOR"])
def test_a_processor_without_these_kernels_follows_none_and_passes_none(monkeypatch, capsys, native):
    assert not pretending(monkeypatch, native=native)
    assert main([]) == 1
    assert capsys.readouterr().out.count("NOT RUN") == len(SETTINGS)


def test_settings_that_round_alike_say_so_and_a_failure_fails(monkeypatch, capsys):
    pretending(monkeypatch, native="AVX512", digest=lambda _: "same", passes=False)
    assert main([]) == 1
    said = capsys.readouterr().out
    assert "rounds as this processor by itself does" in said
    assert "rounds as avx2 does" in said
