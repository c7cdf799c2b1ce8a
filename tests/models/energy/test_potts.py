"""A Potts model against enumeration: its law, its rounds, its gauge, and what it learns."""

import itertools

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, mix, seeded
from fairway.metrics.log_normaliser import grid_log_normaliser
from fairway.models.energy.potts import Potts
from fairway.testing.statistics import ALARM, chi_square_p

L, Q = 4, 3
VALUES = torch.tensor(list(itertools.product(range(Q), repeat=L)))
PLACE = Q ** torch.arange(L - 1, -1, -1)


def coupled(spread=0.8, seed=0):
    with seeded(seed):
        model = Potts(Event((L,), "category", levels=Q), chain_steps=30).double()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, 0, spread)
    model.preprocess.fit(VALUES[[3, 3, 15, 40, 80, 61]])
    return model.eval()


def log_unnormalised(fields, couplings):
    """Term by term."""
    out = torch.zeros(len(VALUES), dtype=torch.float64)
    for k, x in enumerate(VALUES.tolist()):
        out[k] += sum(float(fields[i, x[i]]) for i in range(L))
        out[k] += sum(float(couplings[i, x[i], j, x[j]]) for i in range(L) for j in range(i + 1, L))
    return out


def test_the_energy_is_the_sum_of_fields_and_couplings():
    model = coupled()
    with torch.no_grad():
        torch.testing.assert_close(-model.energy(VALUES), log_unnormalised(model.fields, model.couplings))


def test_another_gauge_is_the_same_law():
    model = coupled()
    fields, couplings = model.zero_sum()
    assert float(couplings.sum(1).abs().max()) < 1e-12 and float(couplings.sum(3).abs().max()) < 1e-12
    assert float(fields.sum(1).abs().max()) < 1e-12
    shift = -model.energy(VALUES) - log_unnormalised(fields, couplings)
    torch.testing.assert_close(shift, shift[:1].expand(len(VALUES)))


@pytest.mark.parametrize("site", range(L))
def test_a_site_is_redrawn_from_its_law_given_the_others(site):
    model, grid = coupled(), 3000
    p = torch.softmax(-model.energy(VALUES), 0)
    uniforms = ((torch.arange(grid, dtype=torch.float64) + 0.5) / grid).repeat(len(VALUES))
    start = VALUES.repeat_interleave(grid, 0)
    end = model._resample(start, site, uniforms.unsqueeze(1).expand(-1, L))
    others = [i for i in range(L) if i != site]
    assert torch.equal(end[:, others], start[:, others]) and end.dtype == torch.int64
    found = torch.zeros(len(VALUES), Q, dtype=torch.float64)
    row = torch.arange(len(VALUES)).repeat_interleave(grid)
    found.index_put_((row, end[:, site]), torch.full((len(end),), 1 / grid, dtype=torch.float64), accumulate=True)
    alike = (VALUES.unsqueeze(1) == VALUES)[..., others].all(2).double() * p
    wanted = torch.stack([alike[:, VALUES[:, site] == a].sum(1) for a in range(Q)], 1) / alike.sum(1, keepdim=True)
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=0)


def test_half_way_a_round_keeps_the_law_half_way():
    model, n = coupled(), 40_000
    p = torch.softmax(0.5 * model._tilt(VALUES) + model._log_reference(VALUES), 0).detach()
    start = VALUES[torch.multinomial(p, n, replacement=True, generator=torch.Generator().manual_seed(0))]
    end, gained = model._path_round(start, 0.2, 0.5, Rows(2, n, dtype=torch.float64).uniform(L))
    torch.testing.assert_close(gained, 0.3 * model._tilt(start))
    assert chi_square_p(torch.bincount(end @ PLACE, minlength=len(VALUES)), p * n) > ALARM
    assert (end != start).any(0).all()


def test_draws_have_the_probabilities():
    model = coupled()
    p = torch.softmax(-model.energy(VALUES), 0)
    draws = model.sample(4000, generator=0)
    assert chi_square_p(torch.bincount(draws @ PLACE, minlength=len(VALUES)), p * 4000) > ALARM


def test_only_sites_that_touch_are_contacts():
    model = Potts(Event((5,), "category", levels=Q)).double()
    with torch.no_grad():
        model.coupling[1, :, 3] = 2 * torch.eye(Q)
        model.coupling[:, 0] = 1.0  # of every site with every other: a matter of fields
    score = model.contacts()
    torch.testing.assert_close(score, score.T)
    assert divmod(int(score.argmax()), 5) == (1, 3) and float(score[1, 3]) > 3 * float(score[0].abs().max())
    assert float(model.contacts(gap=0)[1, 3]) < float(score[1, 3])
    with pytest.raises(ValueError, match="gap"):
        model.contacts(gap=Q)


@pytest.fixture(scope="module")
def learned():
    """Draws of a known law, learned by plain Adam on the full data."""
    teacher = coupled(0.7, seed=3)
    p = torch.softmax(-teacher.energy(VALUES), 0)
    x = VALUES[torch.multinomial(p, 4000, replacement=True, generator=torch.Generator().manual_seed(1))]
    model = Potts(Event((L,), "category", levels=Q))
    model.preprocess.fit(x)
    objective = model.default_objective()
    objective.setup(model)
    optimiser = torch.optim.Adam(model.parameters(), 0.03, betas=(0.5, 0.999))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 200)
    for k in range(200):
        rows = Rows(mix(0, k), 400)
        loss = objective.loss(Batch(x[rows.integers(len(x))]), model, phase=Phase(), generator=rows.spawn(1)).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.eval(), x


def pairs(one_hot, weight):
    flat = one_hot.flatten(1)
    return flat.T @ (flat * weight.unsqueeze(1))


def test_it_learns_the_frequencies_of_pairs(learned):
    model, x = learned
    p = torch.softmax(-model.energy(VALUES).double(), 0)
    of_model = pairs(torch.nn.functional.one_hot(VALUES, Q).double(), p)
    of_data = pairs(torch.nn.functional.one_hot(x, Q).double(), torch.full((len(x),), 1 / len(x)).double())
    assert float((of_model - of_data).abs().max()) < 0.03
    frequencies = of_data.diagonal()
    assert float((frequencies.outer(frequencies) - of_data).abs().max()) > 0.1  # what independence would leave
    entropy = -float((of_data.diagonal() * model.log_rates.double().flatten()).sum())
    assert float(model.energy(x).double().mean()) + grid_log_normaliser(model).value < entropy - 0.05
