"""Costs are counted, timed and measured in the right units."""

import subprocess
import sys
import time

import pytest
import torch
from torch import nn

from fairway.core.event import Event
from fairway.metrics.cost import parameters, peak_memory, seconds_per_1000, strokes


def test_parameters_count_what_was_learned(normal):
    model = normal(Event((3,)))
    assert parameters(model) == 0  # the units (mean, scale) are not counted
    model.register_buffer("counts", torch.zeros(5, 2))
    assert parameters(model) == 10
    model.network = nn.Linear(3, 4)
    assert parameters(model) == 16


def test_strokes_are_the_samplers_count(normal):
    assert strokes(normal(Event((3,)))) == 1.0


def test_seconds_are_per_thousand_samples(normal, monkeypatch):
    monkeypatch.setattr(normal, "_sample", lambda self, n, c, rows: (time.sleep(2e-3), rows.normal(3))[1])
    assert 2e-2 <= seconds_per_1000(normal(Event((3,))), n=100) < 2e-1
    with pytest.raises(ValueError, match="at least 1"):
        seconds_per_1000(normal(Event((3,))), n=0)


def test_slow_draws_are_not_repeated_for_ever(normal, monkeypatch):
    calls = []
    monkeypatch.setattr(normal, "_sample", lambda self, n, c, rows: (calls.append(n), rows.normal(3))[1])
    seconds_per_1000(normal(Event((3,))), n=20, repeats=50, patience=1e-9)
    assert calls == [10, 20]


def test_peak_memory_is_this_process_own():
    held = torch.ones(64, 2**20 // 4)  # 64 MB in the parent, none of it in the child
    code = "from fairway.metrics.cost import peak_memory; print(peak_memory())"
    child = float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert 0 < child < 100 < peak_memory() and held.sum() > 0


def test_peak_memory_never_falls():
    before = peak_memory()
    held = torch.ones(64, 2**20 // 4)
    assert peak_memory() >= before and held.sum() > 0
