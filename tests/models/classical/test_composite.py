"""Components in units of their own, and the one question asked of all."""

import copy
import math

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.models.classical.gaussian import Gaussian
from fairway.models.classical.histogram import Independent
from fairway.models.classical.model_mixture import ModelMixture
from fairway.models.energy.product import Product
from fairway.models.flow.planar import PlanarFlow
from fairway.training.fit import fit
from fairway.training.run_folder import load

SCALE = torch.tensor([40.0, 3e-3], dtype=torch.float64)


def data(n, shift, seed):
    return 1000 + shift + SCALE * Rows(seed, n, dtype=torch.float64).normal(2)


@pytest.fixture(scope="module")
def pair():
    """Two Gaussians whose units differ: one standardises, one sees data units."""
    return fit("gaussian", data(400, 0, 0)), fit("gaussian", data(400, SCALE, 1), preprocess=False)


def test_a_point_goes_to_each_component_s_units_and_back(pair):
    whole = ModelMixture.of(pair)
    x = data(5, 0, 2)
    u = whole._to_model(x)[0]
    point, ladj, inside = whole._point(u)
    torch.testing.assert_close(point, x)
    assert bool(inside.all())
    torch.testing.assert_close(ladj, -pair[0].preprocess.std.log().sum().expand(5))
    for k, model in enumerate(pair):
        v, own = whole._at_component(k, point)
        expected, wanted = model.preprocess.to_model(x)
        torch.testing.assert_close(v, expected)
        torch.testing.assert_close(own, wanted.expand(5))
        torch.testing.assert_close(whole._from_component(k, v), u)


def test_beyond_the_margin_of_a_range_there_is_no_point():
    event = Event((1,), "bounded", low=0.0, high=1.0)
    whole = ModelMixture(event, models=("gaussian", "gaussian")).double()
    inside = whole._point(torch.tensor([[0.0], [13.0], [14.5], [-40.0]]).double())[2]
    assert inside.tolist() == [True, True, False, False]
    assert whole._log_prob(torch.tensor([[-40.0]]).double()).item() == -torch.inf


@pytest.mark.parametrize("cls", [ModelMixture, Product])
def test_it_is_saved_with_its_components_and_their_units(cls, pair, tmp_path):
    whole = cls.of(pair)
    whole.save(tmp_path)
    again, x = load(tmp_path), data(6, 0, 3)
    torch.testing.assert_close(again.energy(x), whole.energy(x), rtol=0, atol=0)
    torch.testing.assert_close(again.sample(4, generator=0), whole.sample(4, generator=0), rtol=0, atol=0)


def test_components_that_exist_keep_their_units_in_a_fit_and_named_ones_take_the_whole_s(pair):
    kept, moved = pair[0].preprocess.mean.clone(), data(300, SCALE, 4)
    whole = fit(ModelMixture.of(copy.deepcopy(pair)), moved, steps=2, validation=0, progress=False)
    torch.testing.assert_close(whole.models[0].preprocess.mean, kept)
    torch.testing.assert_close(whole.preprocess.mean, moved.mean(0))
    named = fit("model_mixture", moved, models=("gaussian", "gmm"), steps=2, validation=0, progress=False)
    for model in named.models:
        torch.testing.assert_close(model.preprocess.mean, moved.mean(0))


def test_contexts_reach_each_component_in_its_own_units():
    x, c = data(300, 0, 5), 700 + 30 * Rows(6, 300, dtype=torch.float64).normal(1)
    flows = [fit("planar", x, context=c + s, transforms=1, steps=20, lr=0.05, progress=False) for s in (0.0, 50.0)]
    found = ModelMixture.of(flows).log_prob(x[:5], c[:5]).double()
    parts = torch.stack([flow.log_prob(x[:5], c[:5]) for flow in flows]).double()
    torch.testing.assert_close(found, parts.logsumexp(0) - math.log(2), rtol=1e-4, atol=1e-4)


def test_what_does_not_fit_together_is_refused():
    event = Event((2,), "integer", low=0, high=3)
    with pytest.raises(ValueError, match="keep the levels"):
        ModelMixture.of([Gaussian(event), Independent(event)])
    with pytest.raises(ValueError, match="expected models of"):
        Product(Event((2,)), models=(Gaussian(Event((3,))),))
    with pytest.raises(ValueError, match="expected models of"):
        Product.of([PlanarFlow(Event((2,))), PlanarFlow(Event((2,)), Event((1,)))])
    with pytest.raises(ValueError, match="at least one"):
        ModelMixture(Event((2,)), models=())
    with pytest.raises(ValueError, match="2 finite shares"):
        ModelMixture(Event((2,)), models=("gaussian", "gmm"), shares=(1,))
