"""Units: every log-determinant against autograd, maps that undo themselves, and what each says of densities."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairway.core import extent
from fairway.core.event import Event
from fairway.core.preprocessing import (
    Chain,
    Dequantise,
    Identity,
    Levels,
    Log,
    Logit,
    OneHot,
    Preprocessing,
    Standardise,
    Symmetric,
    context_default,
    continuous,
    countable,
    preprocessings,
    rescaled,
    symmetric,
)
from fairway.core.random import Rows
from fairway.testing.data import tiny_data

BOUNDED = Event((3,), "bounded", low=-2.0, high=5.0)
MAPS = {
    "identity": Identity(Event((3,))),
    "standardise a table": Standardise(Event((3,))),
    "standardise to another scale": Standardise(Event((3,)), 3.0),
    "standardise an image": Standardise(Event((2, 2, 2))),
    "symmetric": Symmetric(BOUNDED),
    "logit": Logit(BOUNDED),
    "logit with a margin": Logit(BOUNDED, margin=0.05),
    "log": Log(Event((3,), "positive")),
    "chain": Chain([Logit(BOUNDED), Standardise(Event((3,)))]),
}


def _fitted(map_):
    map_ = copy.deepcopy(map_)
    x = tiny_data(map_.event, 200)
    map_.fit(x)
    return map_, x[:5]


@pytest.mark.parametrize("map_", MAPS.values(), ids=MAPS)
def test_the_log_determinant_is_autograds(map_):
    map_, x = _fitted(map_)
    _, ladj = map_.to_model(x)
    jacobians = [torch.autograd.functional.jacobian(lambda row: map_.to_model(row[None])[0][0], row) for row in x]
    dims = x[0].numel()
    expected = torch.stack([torch.linalg.slogdet(j.reshape(dims, dims)).logabsdet for j in jacobians])
    assert ladj.dtype == torch.float64 and torch.allclose(ladj, expected, atol=1e-9)


@pytest.mark.parametrize("map_", MAPS.values(), ids=MAPS)
def test_to_data_undoes_to_model(map_):
    map_, x = _fitted(map_)
    again = map_.to_data(map_.to_model(x)[0])
    assert torch.allclose(again, x, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "event", [Event((4,)), Event((3, 2, 2)), Event((2, 2)), BOUNDED, Event((2,), "positive")], ids=str
)
def test_model_units_have_scale_one(event):
    units = continuous(event)
    x = tiny_data(event, 500)
    units.fit(x)
    u, _ = units.to_model(x)
    axes = (0,) if u.ndim == 2 else (0, -2, -1)
    assert units.model_event.kind == "real" and u.mean(axes).abs().max() < 1e-6
    assert (u.var(axes, correction=0) - 1).abs().max() < 1e-6


def test_precision_survives_single_precision_and_moves():
    units, _ = _fitted(Standardise(Event((2,))))
    units = units.float().to(torch.float16)
    assert units.std.dtype == torch.float64
    x = 1e3 + 3e-3 * torch.arange(2, dtype=torch.float64).reshape(1, 2)
    assert torch.allclose(units.to_data(units.to_model(x)[0]), x, rtol=1e-14)


@given(st.integers(-5, 5), st.integers(1, 40), st.integers(0, 2**31))
def test_dequantising_stays_within_the_cell(low, span, seed):
    event = Event((3,), "integer", low=low, high=low + span)
    x = torch.randint(low, low + span + 1, (9, 3), generator=torch.Generator().manual_seed(seed))
    units = Dequantise(event)
    u, ladj = units.to_model(x, Rows(seed, 9))
    assert torch.equal(units.to_data(u), x.double()) and torch.equal(ladj, torch.zeros(9))
    assert bool((u >= x).all() and (u < x + 1).all()) and torch.equal(units.to_model(x)[0], x + 0.5)
    assert float(units.to_data(torch.full((1, 3), 1e9))[0, 0]) == low + span


def test_a_counted_column_that_never_varies_keeps_the_spread_of_its_cell():
    event = Event((2,), "integer", low=0, high=9)
    x = torch.stack([torch.zeros(400, dtype=torch.long), torch.arange(400) % 10], 1)
    units = continuous(event)
    units.fit(x)
    u, _ = units.to_model(x, Rows(1, 400))
    assert u.abs().max() < 4 and float(u[:, 0].var()) == pytest.approx(1, abs=0.2)


def test_levels_and_unit_vectors():
    event = Event((2,), "integer", low=3, high=6)
    x = torch.tensor([[3, 6], [4, 5]])
    for units, expected in ((Levels(event), x - 3), (OneHot(event), torch.eye(4).double()[x - 3])):
        u, ladj = units.to_model(x)
        assert torch.equal(u, expected) and torch.equal(units.to_data(u), x) and not ladj.any()
    assert Levels(event).model_event == Event((2,), "integer", low=0, high=3)
    assert OneHot(event).model_event == Event((2, 4))


def test_outside_the_support_the_density_is_zero():
    for units, x in (
        (Logit(Event((1,), "bounded", low=0, high=1)), [[-0.1], [1.1]]),
        (Log(Event((1,), "positive")), [[-1.0], [0.0]]),
    ):
        u, ladj = units.to_model(torch.tensor(x))
        assert torch.equal(ladj, torch.full((2,), -math.inf).double()) and u.isfinite().all()


@pytest.mark.parametrize(
    "map_", [Standardise(Event((2,))), Logit(Event((2,), "bounded", low=0, high=1)), Log(Event((2,), "positive"))]
)
def test_a_gap_stays_a_gap(map_):
    x = torch.tensor([[0.5, math.nan], [math.nan, 0.2], [0.1, 0.3]])
    map_.fit(x)
    u, _ = map_.to_model(x)
    assert torch.equal(u.isnan(), x.isnan())


def test_what_maps_say_of_densities():
    counted, image = Event((2,), "integer", low=0, high=7), Event((2, 2), "integer", low=0, high=7)
    said = {
        continuous(Event((2,))).density: "exact",
        continuous(counted).density: "bound",
        continuous(image).density: "bound",
        countable(counted).density: "exact",
        Chain([OneHot(counted), Standardise(Event((2, 8)))]).density: "none",
    }
    assert all(key == value for key, value in said.items()) and len(said) == 3
    assert continuous(counted).random and not continuous(Event((2,))).random
    assert countable(Event((2,))).model_event.kind == "real"


def test_contexts():
    assert isinstance(context_default(Event((), "category", levels=3)), OneHot)
    assert isinstance(context_default(Event((2,))), Standardise)
    u, _ = context_default(Event((), "category", levels=3)).to_model(torch.tensor([2, 0]))
    assert u.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_a_logit_wants_a_range():
    with pytest.raises(ValueError, match="low and high"):
        Logit(Event((2,)))


@pytest.mark.parametrize("name", list(preprocessings))
def test_the_table_names_what_it_says(name):
    assert issubclass(preprocessings[name], Preprocessing) and preprocessings[name].name() == name


# -- chunks ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "event",
    [Event((3,)), Event((2, 4, 4)), BOUNDED, Event((3,), "integer", low=-1, high=6), Event((1, 4, 4), "binary")],
)
def test_units_measured_in_chunks_are_those_of_the_whole(event, monkeypatch):
    x = tiny_data(event, 500)
    whole, parts, given = continuous(event), continuous(event), continuous(event)
    whole.fit(x)
    given.fit_chunks(x.split([100, 1, 63, 336]))
    monkeypatch.setattr(extent, "ENTRIES", 64)
    parts.fit(x)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(given.state_dict()[name], value, rtol=1e-12, atol=1e-12)


def test_moments_are_those_of_float64_arithmetic_with_gaps():
    x = torch.randn(400, 3, generator=torch.Generator().manual_seed(0)) * 1e-3 + 1e3
    x[::7, 1] = math.nan
    units = Standardise(Event((3,), missing=True))
    units.fit(x)
    mean = x.double().nanmean(0)
    assert torch.equal(units.mean, mean)
    assert torch.equal(units.std, (x.double() - mean).square().nanmean(0).sqrt())


def test_a_map_of_ones_own_gets_all_rows_and_one_that_measures_nothing_none():
    class Largest(Identity):
        def fit(self, x):
            self.largest = float(x.max())

    def parts():
        raise AssertionError("nothing needs to be read")
        yield

    own = Largest(Event((2,)))
    own.fit_chunks(torch.arange(8.0).reshape(4, 2).split(3))
    assert own.largest == 7
    Chain([Identity(Event((2,))), Log(Event((2,), "positive"))]).fit_chunks(parts())


def test_a_spread_beyond_float64_is_refused():
    with pytest.raises(ValueError, match="expected values whose squares float64 holds"):
        Standardise(Event((1,))).fit(torch.tensor([[1e200], [0.0], [1.0]], dtype=torch.float64))


def test_symmetric_units_are_the_range_of_a_tanh():
    event = Event((3,), "bounded", low=-2.0, high=6.0)
    x = torch.tensor([[-2.0, 2.0, 6.0]])
    u, ladj = Symmetric(event).to_model(x)
    assert u.tolist() == [[-1.0, 0.0, 1.0]]
    assert ladj.item() == pytest.approx(3 * math.log(2 / 8))
    assert torch.equal(Symmetric(event).to_data(u), x.double())
    assert Symmetric(event).to_data(torch.tensor([[9.0, -9.0, 0.0]])).tolist() == [[6.0, -2.0, 2.0]]
    with pytest.raises(ValueError, match="expected an event with low and high"):
        Symmetric(Event((3,)))


@pytest.mark.parametrize(
    ("event", "last"),
    [
        (Event((4, 4), "integer", low=0, high=9), Symmetric),
        (Event((4, 4), "bounded", low=0.0, high=1.0), Symmetric),
        (Event((4, 4)), Standardise),
        (Event((4, 4), "positive"), Chain),
    ],
)
def test_symmetric_where_there_is_a_range(event, last):
    chosen = symmetric(event)
    assert isinstance(chosen.maps[-1] if event.counted else chosen, last)


def test_rescaled_units_are_wider_in_the_end():
    x = torch.rand(500, 2, generator=torch.Generator().manual_seed(0)).double() + 0.5
    for event in (Event((2,)), Event((2,), "positive")):
        units = rescaled(continuous(event), 3.0)
        units.fit(x)
        u, _ = units.to_model(x)
        torch.testing.assert_close(u.std(0, correction=0), torch.full((2,), 3.0).double())
        torch.testing.assert_close(units.to_data(u), x)
    logit = Logit(BOUNDED)
    assert rescaled(logit, 3.0) is logit
