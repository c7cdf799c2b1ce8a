"""Every point is used once, transport is the cheapest pairing, and nothing crosses contexts."""

import itertools

import numpy as np
import pytest
import torch

from fairway.core import parallel
from fairway.core.config import from_json, to_json
from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows
from fairway.models.diffusion.flow_matching import FlowMatching
from fairway.objectives.couplings import ClassWise, Coupling, Independent, OptimalTransport, coupled, couplings
from fairway.objectives.flow_matching import ConditionalFlowMatching


def points(n, seed, *shape):
    return Rows(seed, n, dtype=torch.float64).normal(*(shape or (2,)))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def cost(u, end, index):
    return float((u - end[index]).square().sum())


def is_permutation(index):
    return torch.equal(index.sort().values, torch.arange(len(index)))


@pytest.mark.parametrize("n", [1, 5, 64, 100, 256])
@pytest.mark.parametrize("name", list(couplings))
def test_every_point_is_used_once(name, n):
    u, end, label = points(n, 0), points(n, 1), Rows(2, n).integers(3).unsqueeze(1)
    index = couplings[name]().match(u, end, label if name == "class_wise" else None, generator())
    assert index.dtype == torch.int64 and is_permutation(index)


def test_transport_is_the_cheapest_of_all_permutations():
    for seed in range(5):
        u, end = points(6, seed), points(6, seed + 50)
        index = OptimalTransport().match(u, end, None, generator(seed))
        least = min(cost(u, end, torch.tensor(order)) for order in itertools.permutations(range(6)))
        assert cost(u, end, index) == pytest.approx(least, rel=1e-12)


def test_transport_on_a_line_is_sorting():
    u, end = points(50, 0, 1), points(50, 1, 1)
    index = OptimalTransport(50).match(u, end, None, generator())
    assert torch.equal(end[index].squeeze(1).argsort(), u.squeeze(1).argsort())


@pytest.mark.parametrize("block", [1, 7, 64, 500])
@pytest.mark.parametrize("shape", [(1,), (2,), (3, 2, 2)])
def test_transport_never_costs_more_than_chance_and_less_in_larger_blocks(block, shape):
    u, end = points(200, 3, *shape), points(200, 4, *shape) + 1
    order = torch.randperm(200, generator=generator())
    index = OptimalTransport(block).match(u, end, None, generator())
    if block == 1:
        assert torch.equal(index, torch.arange(200))
    for part in order.split(block):  # the blocks, as they are drawn
        assert cost(u[part], end, index[part]) <= cost(u[part], end, part) + 1e-9
        assert set(index[part].tolist()) == set(part.tolist())
    whole = OptimalTransport(200).match(u, end, None, generator())
    assert cost(u, end, whole) <= cost(u, end, index) + 1e-9


def test_blocks_are_drawn_by_the_generator_given_alone():
    u, end, coupling = points(256, 0), points(256, 1), OptimalTransport()
    first = coupling.match(u, end, None, generator(5))
    np.random.seed(1)
    torch.manual_seed(1)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    assert torch.equal(coupling.match(u, end, None, generator(5)), first)
    assert not torch.equal(coupling.match(u, end, None, generator(6)), first)
    assert np.array_equal(np.random.get_state()[1], before[0]) and torch.equal(torch.get_rng_state(), before[1])


@pytest.mark.parametrize("columns", [1, 3])
def test_class_wise_never_crosses_classes_and_is_best_within(columns):
    n, label = 120, Rows(2, 120).integers(4)
    context = torch.nn.functional.one_hot(label, 4).double() if columns == 3 else label.unsqueeze(1)
    u, end = points(n, 0), points(n, 1)
    index = ClassWise(OptimalTransport(n)).match(u, end, context, generator())
    assert is_permutation(index) and torch.equal(label[index], label)
    for k in range(4):
        rows = (label == k).nonzero().flatten()
        within = OptimalTransport(n).match(u[rows], end[rows], None, generator())
        assert cost(u[rows], end, index[rows]) == pytest.approx(cost(u[rows], end[rows], within))


def test_contexts_of_their_own_keep_their_draw():
    u, end, context = points(30, 0), points(30, 1), points(30, 2)
    assert torch.equal(ClassWise().match(u, end, context, generator()), torch.arange(30))


def test_transport_refuses_a_context_and_class_wise_needs_one():
    u, end = points(4, 0), points(4, 1)
    with pytest.raises(ValueError, match="class_wise"):
        OptimalTransport().match(u, end, torch.zeros(4, 1), generator())
    with pytest.raises(ValueError, match="expected a context with class_wise"):
        ClassWise().match(u, end, None, generator())


def test_wrong_arguments():
    with pytest.raises(ValueError, match="at least 1"):
        OptimalTransport(0)
    with pytest.raises(ValueError, match="did you mean 'optimal_transport'"):
        ConditionalFlowMatching(coupling="optimal_transprot")
    with pytest.raises(TypeError, match="expected a coupling"):
        ConditionalFlowMatching(coupling=7)


@pytest.mark.parametrize("coupling", ["independent", "class_wise", ClassWise("independent"), OptimalTransport(16)])
def test_a_coupling_is_configuration(coupling):
    data = to_json(ConditionalFlowMatching(coupling=coupling))
    back = from_json(data)
    assert to_json(back) == data and type(back.coupling) is type(ConditionalFlowMatching(coupling=coupling).coupling)
    if isinstance(coupling, OptimalTransport):
        assert data["coupling"] == {"pairing": "optimal_transport", "block": 16} and back.coupling.block == 16


# -- in the objective ---------------------------------------------------------------------------------------------
def loss_of(coupling, batch, context_event=None):
    model = FlowMatching(Event((2,)), context_event, hidden=(8,)).double()
    objective, rows = ConditionalFlowMatching(coupling=coupling), Rows(0, len(batch), dtype=torch.float64)
    return float(objective.loss(batch, model, phase=Phase(), generator=rows).total.detach())


def test_the_objective_pairs_by_its_coupling():
    """A network that says 0 has the mean squared length of the lines as its loss."""
    u = points(256, 9)
    noise = Rows(0, 256, dtype=torch.float64).spawn(1).normal(2)
    assert loss_of("independent", Batch(u)) == pytest.approx(float((u - noise).square().mean()))
    assert loss_of("optimal_transport", Batch(u)) < 0.4 * loss_of("independent", Batch(u))
    label = Rows(1, 256).integers(3).unsqueeze(1).double()
    within = loss_of("class_wise", Batch(u, label), Event((1,)))
    assert loss_of("optimal_transport", Batch(u)) < within < loss_of("independent", Batch(u))


def test_the_objective_refuses_transport_given_a_context_or_weights():
    batch = Batch(points(8, 0), torch.zeros(8, 1).double())
    with pytest.raises(ValueError, match="class_wise"):
        loss_of("optimal_transport", batch, Event((1,)))
    with pytest.raises(ValueError, match="expected no weights"):
        loss_of("optimal_transport", Batch(points(8, 0), weight=torch.ones(8)))


def test_only_independent_pairs_can_be_compiled():
    assert ConditionalFlowMatching().traceable and not ConditionalFlowMatching(coupling="class_wise").traceable


def test_rows_stay_with_their_gradient_free_order():
    """`coupled` gives rows of the end itself, and leaves an uncoupled batch alone."""
    u, end, rows = points(70, 0), points(70, 1), Rows(3, 70)
    assert coupled(Independent(), u, end, None, rows) is end
    moved = coupled(OptimalTransport(), u, end, None, rows)
    assert torch.equal(moved.sort(0).values, end.sort(0).values) and not torch.equal(moved, end)


def test_processes_that_share_a_batch_pair_it_as_one_would(monkeypatch):
    u, end = points(128, 0), points(128, 1)
    whole = coupled(OptimalTransport(), u, end, None, Rows(3, 128))
    monkeypatch.setattr(parallel, "gathered", lambda part: u if torch.equal(part, u[mine]) else end)
    for start in (0, 64):
        mine = slice(start, start + 64)
        share = Rows(3, 64, start, shared_by=2)
        assert torch.equal(coupled(OptimalTransport(), u[mine], end[mine], None, share), whole[mine])


def test_your_own_coupling():
    class Reverse(Coupling):
        def match(self, u, end, context, generator):
            return torch.arange(len(u)).flip(0)

    assert to_json(ConditionalFlowMatching(coupling=Reverse()))["coupling"] == {"external": "coupling"}
    assert loss_of(Reverse(), Batch(points(8, 0))) > 0
