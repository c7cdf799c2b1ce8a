"""Names resolve lazily, near names are offered, installed packages add lines, and nothing is imported before use."""

import os
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from fairway.core import registry as module
from fairway.core.registry import HOMES, Registry, UnknownName, did_you_mean, registry


def test_listing_imports_nothing():
    table = Registry("thing", {"broken": "no.such.module:Thing", "sqrt": "math:sqrt"})
    assert list(table) == ["broken", "sqrt"] and len(table) == 2 and "broken" in table
    assert table["sqrt"](9) == 3
    with pytest.raises(ModuleNotFoundError):
        table["broken"]


def test_unknown_names_are_answered_with_near_ones():
    table = Registry("model", {"real_nvp": "math:pi", "made": "math:e"})
    with pytest.raises(UnknownName, match=r"no model named 'realnvp'; did you mean 'real_nvp'\?"):
        table["realnvp"]
    with pytest.raises(UnknownName, match="known: made, real_nvp"):
        table.where("zzzzz")
    with pytest.raises(UnknownName, match="no role named 'modle'; did you mean 'model'"):
        registry("modle")
    assert did_you_mean("x", ["b", "a"]) == "; known: a, b"
    assert isinstance(UnknownName("x"), KeyError)


def test_registering():
    table = Registry("thing", {"pi": "math:pi"})

    class Thing:
        pass

    table.register("thing", Thing)
    table.register("thing", Thing)  # twice the same is no clash
    table.register("e", "math:e")
    assert table["thing"] is Thing and table.name_of(Thing) == "thing" and round(table["e"], 2) == 2.72
    assert table.name_of(int) is None and table.where("pi") == "math:pi"
    with pytest.raises(ValueError, match="'pi' is taken by math:pi"):
        table.register("pi", Thing)


def test_installed_packages_add_lines_and_the_librarys_own_win(monkeypatch):
    entries = [EntryPoint("tau", "math:tau", "fairway.things"), EntryPoint("pi", "math:e", "fairway.things")]
    monkeypatch.setattr(module, "entry_points", lambda group: entries if group == "fairway.things" else [])
    table = Registry("thing", {"pi": "math:pi"})
    assert round(table["tau"], 2) == 6.28 and round(table["pi"], 2) == 3.14 and list(table) == ["pi", "tau"]


@pytest.mark.parametrize("role", list(HOMES))
def test_every_role_has_its_table(role):
    assert registry(role).role == role and len(registry(role)) > 0


def _python(code):
    """Run code in a fresh interpreter, return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_is_quick_and_imports_no_torch():
    code = "import sys, time; t = time.perf_counter(); import fairway; t = time.perf_counter() - t"
    runs = [_python(f"{code}; print(t, 'torch' in sys.modules)").split() for _ in range(3)]
    assert {torch for _, torch in runs} == {"False"}
    assert min(float(seconds) for seconds, _ in runs) < 0.2


def test_listing_every_model_imports_no_torch():
    code = "import sys, fairway; print(len(fairway.models.names()) > 8, 'torch' in sys.modules)"
    assert _python(code) == "True False"


def test_the_package_lists_what_it_offers_and_refuses_the_rest():
    import fairway

    assert {"fit", "load", "models", "Event", "testing"} <= set(dir(fairway))
    assert fairway.Event is not None and fairway.models.get("gmm").name() == "gmm"
    with pytest.raises(AttributeError, match="no attribute 'fti'"):
        fairway.fti  # noqa: B018


UNSAFE = re.compile(
    r"^\s*(import|from)\s+(_?pickle|cPickle|cloudpickle|dill|joblib|shelve|marshal)\b"
    r"|\bpickle\.\w+\(|torch\.save\(|allow_pickle=True|(?<![.\w])(eval|exec)\("
)


def test_nothing_in_the_sources_unpickles_or_evaluates():
    for path in Path(module.__file__).parents[1].rglob("*.py"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert not UNSAFE.search(line), f"{path}:{number}: {line}"
            assert "torch.load(" not in line or "weights_only=True" in line, f"{path}:{number}: {line}"


@pytest.mark.parametrize(
    "line", ["import pickle", "from dill import x", "pickle.loads(b)", "torch.save(x, f)", "eval(x)"]
)
def test_that_search_has_teeth(line):
    assert UNSAFE.search(line)
    assert not UNSAFE.search('text = "no pickle; model.eval() and allow_pickle=False"')
