"""Callbacks see the run where they should, and pictures show the averaged weights."""

import torch

from fairway.training.callbacks import Callback, Every
from fairway.training.fit import fit


class Recorder(Callback):
    def __init__(self):
        self.seen = []

    def on_step(self, run):
        self.seen.append(("step", run.step))

    def on_log(self, run, row):
        self.seen.append(("log", row["step"]))

    def on_evaluate(self, run, value):
        self.seen.append(("evaluate", run.step))

    def on_end(self, run):
        self.seen.append(("end", run.step))


def test_a_callback_sees_steps_evaluations_logs_and_the_end(x, small):
    recorder = Recorder()
    fit("real_nvp", x, steps=60, callbacks=[recorder], **small)
    assert [s for kind, s in recorder.seen if kind == "step"] == list(range(1, 61))
    assert [s for kind, s in recorder.seen if kind == "evaluate"] == [25, 50, 60]
    assert [s for kind, s in recorder.seen if kind == "log"] == [50, 60]
    assert recorder.seen[-1] == ("end", 60)


def test_a_solver_calls_them_too(x):
    recorder, drawn = Recorder(), []
    fit("gmm", x, components=2, iterations=3, tolerance=0.0, callbacks=[recorder, Every(2, lambda r: drawn.append(r))])
    assert recorder.seen[:2] == [("step", 1), ("log", 1)]
    assert recorder.seen[-1] == ("end", 3)
    assert len(drawn) == 1


def test_every_so_many_steps_with_the_averaged_weights_in_place(x, small):
    seen = []

    def look(run):
        name, weight = next(iter(run.model.named_parameters()))
        seen.append((run.step, run.model.training, torch.equal(weight, run.average.shadow[name])))
        run.model.sample(2, generator=0)

    model = fit("real_nvp", x, steps=20, callbacks=[Every(6, look)], **small)
    assert seen == [(6, False, True), (12, False, True), (18, False, True)]
    alone = fit("real_nvp", x, steps=20, **small)
    for a, b in zip(model.parameters(), alone.parameters(), strict=True):
        assert torch.equal(a, b), "looking changed the training"


def test_doing_nothing_is_the_default(x, small):
    fit("real_nvp", x, steps=2, callbacks=[Callback()], **small)
