"""The law of the data's frequencies: counted with the units, drawn from, and what a discrete energy tilts."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.preprocessing import Levels
from fairway.core.random import Rows
from fairway.models.energy.base_rates import BaseRates
from fairway.models.energy.potts import Potts

EVENT = Event((2, 2), "integer", low=-1, high=1)


def rows(n=5000):
    return (Rows(0, n, dtype=torch.float64).normal(2, 2) + torch.tensor([[0.0, 1.0], [-1.0, 0.3]])).round().clamp(-1, 1)


def test_chunks_of_rows_count_as_all_of_them_and_unseen_levels_stay_possible():
    x, whole, parts = rows(70), BaseRates(EVENT), BaseRates(EVENT)
    whole.fit(x)
    parts.fit_chunks([x[:30], x[30:]])
    assert torch.equal(whole.log_rates, parts.log_rates)
    seen = (x.flatten(1)[:, 3] == 1).sum()
    assert float(whole.log_rates[3, 2].exp()) == pytest.approx((float(seen) + 1) / (70 + 3))
    whole.fit(torch.full((10, 2, 2), -1))
    torch.testing.assert_close(whole.log_rates.exp(), torch.tensor([[11.0, 1.0, 1.0]]).double().expand(4, 3) / 13)


def test_births_have_the_frequencies_and_no_dependence():
    model, x = Potts(EVENT).double(), rows()
    model.preprocess.fit(x)
    born = model._births(Rows(1, 20_000, dtype=torch.float64))
    assert born.shape == (20_000, 2, 2) and set(born.unique().tolist()) == {0.0, 1.0, 2.0}
    for level in range(3):
        share = (born == level).double().mean(0)
        torch.testing.assert_close(share, (x + 1 == level).double().mean(0), atol=0.012, rtol=0)
    assert float(torch.corrcoef(born.flatten(1).T).fill_diagonal_(0).abs().max()) < 0.03


def test_the_law_is_the_product_of_the_rates():
    model = Potts(EVENT).double()
    model.preprocess.fit(rows())
    levels = torch.tensor([[[0, 2], [1, 1]]])
    rates = model.log_rates
    torch.testing.assert_close(model._log_reference(levels)[0], rates[0, 0] + rates[1, 2] + rates[2, 1] + rates[3, 1])


def test_in_other_units_the_law_is_even():
    model = Potts(EVENT)
    model.preprocess.fit(rows())
    model.use_preprocessing(Levels(EVENT))
    torch.testing.assert_close(model.log_rates, torch.full((4, 3), 1 / 3).log())


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(ValueError, match="levels"):
        BaseRates(Event((2,), "integer"))
    with pytest.raises(ValueError, match="fixed shape"):
        Potts(Event((None,), "tokens", levels=4))
