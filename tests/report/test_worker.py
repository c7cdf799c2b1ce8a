"""One job from a file to a row, and how conditional samples match their contexts."""

import json

import numpy as np
import pytest
import torch

from fairway.core.event import Event
from fairway.data.dataset import Dataset
from fairway.report.held_out import read_record
from fairway.report.row import Row
from fairway.report.worker import main, measure
from fairway.training.run_folder import load


@pytest.fixture
def job(tmp_path):
    x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0)) * 3 + 5
    (tmp_path / "job").mkdir()
    np.save(tmp_path / "train.npy", x[:40].numpy())
    np.save(tmp_path / "held_out.npy", x[40:].numpy())
    data = Dataset(x[:40], Event((2,)), name="blob", source="blob.npy")
    asked = {"label": "mine", "model": "gmm", "options": {"components": 2}, "budget": None, "steps": 5, "seed": 0}
    places = {"folder": str(tmp_path / "job"), "out": str(tmp_path / "run"), "train": str(tmp_path / "train.npy")}
    return {
        **asked,
        **places,
        "held_out": str(tmp_path / "held_out.npy"),
        "data": data.describe(),
        "draws": 2,
        "n": 20,
        "part": {"holdout": 0.33, "seed": 0},
    }


def test_a_job_becomes_a_row_samples_and_a_run(job, tmp_path):
    path = tmp_path / "job" / "job.json"
    path.write_text(json.dumps(job))
    threads = torch.get_num_threads()
    main(str(path))
    torch.set_num_threads(threads)
    row = Row(**json.loads((tmp_path / "job" / "result.json").read_text()))
    assert (row.name, row.kind, row.status, row.steps) == ("mine", "model", "ok", 5)
    assert row.likelihood["relation"] == "equal" and row.memory > 50 and row.seconds_per_1000 > 0
    assert row.configuration == {"model": "gmm", "components": 2}
    samples = np.load(tmp_path / "job" / "samples.npy", allow_pickle=False)
    assert samples.shape == (20, 2) and abs(samples.mean() - 5) < 2
    assert read_record(tmp_path / "run")["part"] == job["part"]
    model = load(tmp_path / "run")
    held = torch.from_numpy(np.load(job["held_out"]))
    assert float(model.log_prob(held).double().mean()) == pytest.approx(row.likelihood["nats"], rel=1e-5)


def test_conditional_samples_are_one_for_each_held_out_context(job):
    class Echo:
        """Answers with its context."""

        event, preprocess, context_preprocess = Event((2,)), None, None
        history = type("History", (), {"seconds": 1.0, "steps": 2, "rows": [], "stopped": ""})

        def supports(self, capability):
            return False

        def parameters(self):
            yield torch.zeros(3)

        def draw(self, n, *, context=None, generator=None):
            samples = context.float()[:, None, None].expand(len(context), n, 2)
            return type("Draws", (), {"samples": samples, "evaluations": 7.0})

        def sample(self, n, *, context=None, generator=None):
            return context

    held = Dataset(torch.zeros(20, 2), Event((2,)))
    row, samples = measure("echo", Echo(), held, torch.arange(20), job)
    assert torch.equal(samples[:, 0], torch.arange(20.0)) and samples.shape == (20, 2)
    assert (row.strokes, row.parameters, row.likelihood["relation"]) == (7.0, 3, "none")


def test_an_error_is_the_last_thing_said(job, tmp_path):
    path = tmp_path / "job" / "job.json"
    path.write_text(json.dumps({**job, "options": {"componets": 2}}))
    with pytest.raises(ValueError, match="did you mean 'components'"):
        main(str(path))
    assert not (tmp_path / "job" / "result.json").exists()
