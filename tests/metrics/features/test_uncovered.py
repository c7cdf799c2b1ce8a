"""The share of held-out rows that draws leave uncovered, and what a fit does with it."""

import pytest
import torch

from fairway.core.capability import HasSample
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.random import Rows
from fairway.metrics.features.uncovered import uncovered
from fairway.metrics.registry import metrics
from fairway.objectives.adversarial import Adversarial
from fairway.training.callbacks import Callback
from fairway.training.fit import fit

SIZES = torch.tensor([1e-3, 1e3])


class TwoModes(HasSample, Model):
    """Draws on the first `modes` of two narrow modes, (-1, -1) and (1, 1), in columns of scales 0.001 and 1,000; told a
    sign, on that one."""

    accepts_context = ("real",)

    def __init__(self, event, context_event=None, *, modes=2):
        super().__init__(event, context_event)
        self.modes = modes

    def _sample(self, n, context, rows):
        sign = 2.0 * rows.integers(self.modes) - 1 if context is None else context[:, 0]
        return sign.unsqueeze(1) * SIZES * (1 + 0.05 * rows.normal(2))


def model(**arguments):
    return TwoModes(Event((2,)), **arguments).eval()


def data(n, seed=7):
    return model()._sample(n, None, Rows(seed, n))


def test_fresh_draws_leave_one_ball_in_thirty_two():
    assert uncovered(model(), data(2000), generator=0) == pytest.approx(1 / 32, abs=0.015)


def test_a_generator_on_one_of_two_modes_leaves_the_other():
    """Twice as many draws fall in a ball of the mode that is left: 1 in 3^5 of those is empty."""
    x = data(2000)
    share = float((x[:, 0] > 0).double().mean())
    assert uncovered(model(modes=1), x, generator=0) == pytest.approx(share, abs=0.01)


def test_each_column_counts_in_its_own_deviations():
    """Draws that are right in the wide column alone are nowhere near."""

    class Flat(TwoModes):
        def _sample(self, n, context, rows):
            return super()._sample(n, context, rows) * torch.tensor([0.0, 1.0])

    assert uncovered(Flat(Event((2,))).eval(), data(500), generator=0) > 0.9


def test_each_rows_context_gives_one_draw():
    told = TwoModes(Event((2,)), Event((1,)), modes=1).eval()
    x = data(1000)
    assert uncovered(told, x, x[:, :1].sign(), generator=0) < 0.06
    assert uncovered(told, x, -torch.ones(1000, 1), generator=0) > 0.4


def test_few_rows_have_fewer_neighbours():
    for n in (2, 3, 6):
        assert 0 <= uncovered(model(), data(n), generator=0) <= 1
    with pytest.raises(ValueError, match="at least 2 samples and 2 data rows, got 1 and 1"):
        uncovered(model(), data(1), generator=0)


def test_the_table_has_it_as_coverage_lower_is_better():
    assert metrics["coverage"] is uncovered


class Spoil(Callback):
    """From a step on the generator draws one point (and so does its average)."""

    def __init__(self, step):
        self.step = step

    def on_step(self, run):
        if run.step >= self.step:
            for weights in (dict(run.model.named_parameters()), run.average.shadow):
                for value in weights.values():
                    value.data.zero_()


@pytest.mark.parametrize("monitor", ["coverage", None])
def test_a_fit_that_watches_it_comes_back_from_a_collapse(monitor):
    x = torch.randn(800, 2, generator=torch.Generator().manual_seed(0))
    objective = Adversarial("non_saturating", "r1_r2", weight=0.1, critic_steps=1, critic_hidden=(16,), monitor=monitor)
    options = {"hidden": (16,), "steps": 120, "evaluate_every": 20, "validation": 0.25, "seed": 0}
    fitted = fit("gan", x, objective=objective, callbacks=[Spoil(101)], **options)
    share, spread = uncovered(fitted, x, generator=0), fitted.sample(500, generator=0).std(0)
    if monitor is None:
        assert share > 0.95 and spread.max() < 1e-3
    else:
        assert share < 0.7 and spread.min() > 0.3
        assert fitted.history.best_step == 100 and fitted.history.best < 0.6
        assert fitted.history.curve("monitor")[-1] == (120, pytest.approx(1, abs=0.05))
