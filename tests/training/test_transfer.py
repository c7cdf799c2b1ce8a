"""A run begins where another one ended: what matches by name and shape is taken over, and said."""

import json
import shutil

import pytest
import torch

from fairway.core.event import Event
from fairway.core.preprocessing import Identity, Standardise
from fairway.core.random import seeded
from fairway.models.classical.mixture import GMM
from fairway.models.energy.energy import EBM
from fairway.models.flow.real_nvp import RealNVP
from fairway.objectives.mle import MLE
from fairway.training import transfer
from fairway.training.callbacks import Callback
from fairway.training.files import BrokenFolder, read_json
from fairway.training.fit import fit
from fairway.training.history import read_rows
from fairway.training.run_folder import load
from fairway.training.transfer import Source, kept, source_of, take_over

TRAINED = []


class Cut(Callback):
    def __init__(self, step):
        self.step = step

    def on_step(self, run):
        if run.step == self.step:
            raise KeyboardInterrupt


def state(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def flow(seed=0, **options):
    with seeded(seed):
        return RealNVP(Event((2,)), **{"transforms": 2, "hidden": (8,), **options})


@pytest.fixture
def source(x, small, tmp_path, tmp_path_factory):
    """The folder of a trained run (trained once), to do with as a test likes."""
    if not TRAINED:
        TRAINED.append(tmp_path_factory.mktemp("trained"))
        fit("real_nvp", x, steps=300, lr=1e-2, out=TRAINED[0], **small)
    shutil.copytree(TRAINED[0], tmp_path / "source")
    return tmp_path / "source"


def moved(x):
    """The same rows elsewhere."""
    return x + torch.tensor([20.0, 1e-3])


def first_loss(model, *args, **options):
    """The loss of the first two steps."""
    return fit(model, *args, steps=2, **options).history.curve("loss")[0][1]


# -- learning goes on ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("form", [str, lambda path: path, load])
def test_it_starts_with_the_loss_that_the_source_ended_with(source, x, small, form):
    reached = read_rows(source / "metrics.jsonl")[-1]["loss"]
    new, tuned = first_loss("real_nvp", x, **small), first_loss("real_nvp", x, init=form(source), **small)
    assert abs(tuned - reached) < 0.15 and new > reached + 0.5, (new, tuned, reached)


def test_without_a_step_worth_the_name_the_model_is_the_source(source, x, small):
    tuned = fit("real_nvp", moved(x), steps=1, lr=1e-12, validation=0, init=source, **small)
    for name, value in load(source).state_dict().items():
        torch.testing.assert_close(tuned.state_dict()[name], value, atol=1e-6, rtol=1e-6)


def test_the_units_of_the_source_are_kept_on_other_data(source, x, small):
    tuned = fit("real_nvp", moved(x), steps=1, init=source, **small)
    assert same(state(tuned.preprocess), state(load(source).preprocess))


@pytest.mark.parametrize("units", [False, Identity(Event((2,)))])
def test_units_of_another_kind_are_the_fits_own(source, x, small, units, caplog):
    caplog.set_level("INFO", logger="fairway")
    tuned = fit("real_nvp", (x - x.mean(0)) / x.std(0), steps=1, init=source, preprocess=units, **small)
    assert isinstance(tuned.preprocess, Identity) and "units measured anew" in caplog.text


def test_the_users_own_unmeasured_units_of_the_same_kind_are_taken_over(source, x, small):
    tuned = fit("real_nvp", moved(x), steps=1, init=source, preprocess=Standardise(Event((2,))), **small)
    assert same(state(tuned.preprocess), state(load(source).preprocess))


# -- what matches ------------------------------------------------------------------------------------------------------
def test_what_matches_is_taken_over_and_the_rest_is_new():
    old, new = flow(1), flow(2, transforms=3)
    before, taken = state(new), take_over(new, source_of(old))
    after = state(new)
    assert set(taken.reused) & set(taken.new) == set()
    assert set(taken.reused) | set(taken.new) == {k for k in after if not k.startswith("preprocess.")}
    weights = [name for name in taken.reused if name.endswith("weight")]
    assert weights and taken.new
    assert all(torch.equal(after[name], old.state_dict()[name]) for name in taken.reused)
    assert all(torch.equal(after[name], before[name]) for name in taken.new)


def test_buffers_are_taken_over_together_or_not_at_all():
    """An order without its inverse, say, would be no bijection."""
    event = Event((3,))
    old, equal, longer = (RealNVP(event, transforms=n, hidden=(8,)) for n in (2, 2, 4))
    orders = [name for name, _ in longer.named_buffers() if name.startswith("transform.")]
    assert orders and set(orders) <= set(take_over(longer, source_of(old)).new)
    assert not take_over(equal, source_of(old)).new


def test_what_a_buffer_is_filled_with_from_data_does_not_count():
    old, new = EBM(Event((2,)), hidden=(8,)), EBM(Event((2,)), hidden=(8,))
    old.chains, old.step_size = torch.randn(64, 2), torch.tensor(0.25)
    taken = take_over(new, source_of(old))
    assert new.step_size == 0.25 and new.chains.shape == (0, 2)
    assert set(taken.new) == {"chains", "contexts"}


def test_precision_is_the_new_models():
    model = flow().double()
    take_over(model, source_of(flow(1)))
    assert model.dtype == torch.float64


def test_a_source_in_memory_is_not_shared():
    old = flow(1)
    taken = source_of(old)
    with torch.no_grad():
        next(old.parameters()).zero_()
    assert taken.digest == source_of(flow(1)).digest != source_of(old).digest


# -- what is said and written ---------------------------------------------------------------------------------------
def test_what_was_reused_and_what_is_new_is_said(source, x, small, caplog):
    caplog.set_level("INFO", logger="fairway")
    fit("real_nvp", x, steps=1, init=source, **{**small, "transforms": 4})
    (said,) = [r.getMessage() for r in caplog.records if r.getMessage().startswith("init: ")]
    assert f"tensors reused from {source}; new: transform.links" in said
    assert "weight (8, 1)" in said and " more; units taken over" in said


def test_it_is_printed_where_nobody_configured_logging(source, x, small, capsys, monkeypatch):
    monkeypatch.setattr("fairway.training.log.logger.hasHandlers", lambda: False)
    fit("real_nvp", x, steps=1, init=source, **small)
    assert "new: none; units taken over" in capsys.readouterr().out


def test_it_is_in_the_configuration_and_on_the_card(source, x, small, tmp_path):
    fit("real_nvp", x, steps=1, init=source, out=tmp_path / "tuned", **small)
    written = read_json(tmp_path / "tuned" / "config.json")["fit"]["init"]
    assert written["from"] == str(source) and written["model"] == "real_nvp" and written["new"] == []
    assert written["digest"] == source_of(source).digest and written["units"] == ["preprocess"]
    assert f"began from {source}" in (tmp_path / "tuned" / "card.md").read_text()
    assert read_json(source / "config.json")["fit"]["init"] is None


# -- resume ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kill", [20, 70])
def test_a_resume_needs_no_source_any_more_and_ends_in_the_same_bits(source, x, small, tmp_path, kill):
    options = {"steps": 100, "init": str(source), **small}
    whole = fit("real_nvp", moved(x), out=tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        fit("real_nvp", moved(x), out=tmp_path / "cut", callbacks=[Cut(kill)], **options)
    shutil.rmtree(source)
    resumed = fit("real_nvp", moved(x), out=tmp_path / "cut", resume=True, **options)
    assert same(state(resumed), state(whole))
    first, second = (read_json(tmp_path / name / "config.json")["fit"]["init"] for name in ("whole", "cut"))
    assert first == second


def test_what_it_began_from_is_part_of_the_run(source, x, small, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit("real_nvp", x, steps=100, init=source, out=tmp_path / "cut", callbacks=[Cut(60)], **small)
    for other in (None, flow(5)):
        with pytest.raises(BrokenFolder, match="was started with init"):
            fit("real_nvp", x, steps=100, init=other, out=tmp_path / "cut", resume=True, **small)
    moved = source.rename(tmp_path / "moved")
    fit("real_nvp", x, steps=100, init=moved, out=tmp_path / "cut", resume=True, **small)


def test_a_run_may_go_on_in_its_own_folder(source, x, small):
    before = state(load(source))
    tuned = fit("real_nvp", x, steps=1, lr=1e-12, validation=0, init=source, out=source, **small)
    assert all(torch.allclose(value, before[name]) for name, value in state(tuned).items())


# -- refused -----------------------------------------------------------------------------------------------------------
def test_another_event_is_refused_with_both(source, small):
    with pytest.raises(ValueError, match=r"event Event\(shape=\(3,\), kind='real'\), got .*source with .*shape=\(2,\)"):
        fit("real_nvp", torch.randn(50, 3), steps=1, init=source, **small)


def test_a_folder_that_is_no_run_is_refused(x, small, tmp_path):
    with pytest.raises(BrokenFolder, match="expected a run folder, found none"):
        fit("real_nvp", x, steps=1, init=tmp_path / "nowhere", **small)
    with pytest.raises(BrokenFolder, match=r"expected a file config\.json"):
        fit("real_nvp", x, steps=1, init=tmp_path, **small)
    with pytest.raises(ValueError, match="expected init as a run folder or a model, got int"):
        fit("real_nvp", x, steps=1, init=3, **small)


def test_nothing_that_matches_is_refused(source, x, small):
    with pytest.raises(ValueError, match=r"nothing to reuse: no parameter of .* \(real_nvp\) fits this made"):
        fit("made", x, steps=1, init=source, hidden=(8,))
    with pytest.raises(ValueError, match=r"nothing to reuse: .* was built with components=2, here 3"):
        take_over(GMM(Event((2,)), components=3), source_of(GMM(Event((2,)), components=2)))


def test_a_solver_starts_from_the_data(x):
    first = fit("gmm", x, components=2, iterations=2)
    with pytest.raises(ValueError, match="gmm learns by em, which starts from the data: expected no init"):
        fit("gmm", x, components=2, init=first)


@pytest.mark.parametrize("event", ["a word", {"event": {"shape": [2], "kind": "odd"}}, None, {"model": "gmm"}])
def test_a_hostile_source_is_refused(event):
    with pytest.raises(BrokenFolder, match="does not describe a model"):
        take_over(flow(), Source("there", {}, {"model": "real_nvp", "arguments": {"event": event}}))


@pytest.mark.parametrize("text", ["[]", '{"about": 3}', '{"about": {"arguments": []}}'])
def test_a_damaged_copy_is_refused(text, tmp_path):
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "init.json").write_text(text)
    with pytest.raises(BrokenFolder, match="does not say what the run began from"):
        kept(tmp_path)


def test_no_copy_no_source(tmp_path):
    assert kept(tmp_path) is None


def test_units_that_do_not_fit_are_measured_anew(x):
    old = flow(1)
    about = json.loads(json.dumps(source_of(old).about))
    about["preprocess"]["preprocessing"] = "log"
    taken = take_over(flow(), Source("there", source_of(old).tensors, about))
    assert taken.units == () and transfer.UNITS[0] == "preprocess" and isinstance(flow().default_objective(), MLE)
