"""A compiled step is the eager one to rounding, for every seed with one compilation; where it cannot be, it is eager.

Traced here without code generation (seconds instead of minutes); tests/slow/test_compilation.py generates it.
"""

import logging

import pytest
import torch
from torch import nn

from fairway.core.event import Event
from fairway.core.objective import Batch, Loss, Objective, Phase, Step
from fairway.core.random import Rows, mix, seeded
from fairway.models.diffusion.flow_matching import FlowMatching
from fairway.models.energy.energy import EBM
from fairway.models.flow.real_nvp import RealNVP
from fairway.models.gan.wgan_gp import WGANGP
from fairway.models.latent.vae import VAE
from fairway.training import compilation
from fairway.training.compilation import compiled, why_eager

TABLE = Event((3,))
MODELS = {
    "vae": lambda: VAE(TABLE, latent=2, hidden=(8,), dropout=0.3),
    "real_nvp": lambda: RealNVP(TABLE, transforms=2, hidden=(8,)),
    "wgan_gp": lambda: WGANGP(TABLE, latent=2, hidden=(8,)),
}


@pytest.fixture(autouse=True)
def traced(monkeypatch):
    """Trace forward and backward, count the graphs, run them as they are."""
    from torch._dynamo.backends.debugging import aot_eager

    graphs = []

    def backend(graph, inputs):
        function = aot_eager(graph, inputs)  # may send the trace back to its start
        graphs.append(graph)
        return function

    def compile_without_code(function):
        return torch.compile(function, dynamic=False, fullgraph=True, backend=backend)

    monkeypatch.setattr(compilation, "cannot_compile", lambda: None)
    monkeypatch.setattr(compilation, "_compile", compile_without_code)
    return graphs


def step_of(model, objective=None):
    with seeded(1):
        objective = objective or model.default_objective()
        objective.setup(model)
    return Step(model, objective).double().train()


def build(name):
    with seeded(0):
        return step_of(MODELS[name]())


def train(step, forward, steps=4, rows=16):
    """Losses of some steps by hand: every phase, fresh rows and noise, Adam."""
    players = step.objective.players(step.model)
    movers = {name: torch.optim.AdamW(player.parameters(), 1e-2, fused=True) for name, player in players.items()}
    found = []
    for k in range(steps):
        for i, phase in enumerate(step.objective.phases(step.model)):
            seed = mix(3, k, i)
            with seeded(seed):
                loss = forward(Batch(Rows(seed, rows).normal(3).double()), phase, Rows(seed, rows, 0, torch.float64))
            own = movers[phase.player].param_groups[0]["params"]
            for p, g in zip(own, torch.autograd.grad(loss.total, own, allow_unused=True), strict=True):
                p.grad = None if g is None else torch.empty_like(p).copy_(g)
            movers[phase.player].step()
            if phase.after:
                phase.after(step.model)
            found += [loss.total.detach(), *(term.detach() for term in loss.terms.values())]
    return torch.stack(found)


@pytest.mark.parametrize("name", ["vae", "wgan_gp"])  # counters and dropout; two players and a slope in the loss
def test_losses_and_terms_are_the_eager_ones_with_one_graph_per_phase(name, traced):
    eager, fast = build(name), build(name)
    expected, found = train(eager, eager), train(fast, compiled(fast))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert len(traced) == len(fast.objective.phases(fast.model))  # seeds and counters change at every step
    assert list(fast.state_dict()) == list(eager.state_dict())  # plain names
    assert all(p.requires_grad for p in fast.parameters())


class Line(nn.Linear):
    """The least that a step can hold."""

    def embed(self, context):
        return context


class Squares(Objective):
    """Graphs of nothing much, one per phase."""

    def phases(self, model):
        return (Phase(), Phase(every=2))

    def loss(self, batch, model, *, phase, generator):
        return Loss((model(batch.u) + generator.normal(1)).square().mean() * phase.every, {})


def test_phases_of_one_player_are_told_apart_and_runs_in_one_process_share_no_limit(traced):
    for _ in range(5):  # more graphs than torch compiles one function for
        step = Step(Line(3, 1), Squares()).double()
        train(step, compiled(step), steps=1)
    assert len(traced) == 10


def test_a_rehearsal_leaves_no_trace():
    """Running statistics move once per step; the global generator stays where it was."""

    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.linear = nn.BatchNorm1d(3), nn.Linear(3, 3)

        def forward(self, u, t, context=None):
            return self.linear(self.norm(u))

    step = step_of(FlowMatching(TABLE, network=Normed()))
    before = torch.random.get_rng_state()
    train(step, compiled(step), steps=1)
    assert int(step.model.network.norm.num_batches_tracked) == 1
    assert torch.equal(torch.random.get_rng_state(), before)


class Moody(Objective):
    """Decides on a tensor's value, which no graph can."""

    def loss(self, batch, model, *, phase, generator):
        z = model._log_prob(batch.u).mean()
        total = -z if z.detach().item() > -1e9 else z
        return Loss(total, {})


class Coupled(Objective):
    """Draws from a generator that rows share."""

    def loss(self, batch, model, *, phase, generator):
        order = torch.randperm(len(batch), generator=generator.shared())
        return Loss(-model._log_prob(batch.u[order]).mean(), {})


@pytest.mark.parametrize("objective", [Moody, Coupled])
def test_what_cannot_be_traced_runs_eagerly_with_one_warning(objective, caplog):
    def flow():
        with seeded(0):
            return step_of(MODELS["real_nvp"](), objective())

    eager, fast = flow(), flow()
    with caplog.at_level(logging.WARNING, "fairway"):
        found = train(fast, compiled(fast))
    assert torch.equal(found, train(eager, eager))
    assert [r.message for r in caplog.records if "training runs eagerly" in r.message] == caplog.messages
    assert len(caplog.records) == 1


def test_chains_and_machines_without_a_compiler_stay_eager(monkeypatch, caplog):
    energy = step_of(EBM(TABLE, hidden=(8,)))
    assert compiled(energy) is energy and "persistent" in caplog.text
    monkeypatch.setattr(compilation, "cannot_compile", lambda: "no C++ compiler was found")
    flow = build("real_nvp")
    assert why_eager(flow) == "no C++ compiler was found" and compiled(flow) is flow
    assert len(caplog.records) == 2


def test_an_error_of_the_loss_itself_is_raised_as_it_is():
    class Broken(Objective):
        def loss(self, batch, model, *, phase, generator):
            raise ValueError("a cost of its own")

    step = step_of(MODELS["real_nvp"](), Broken())
    with pytest.raises(ValueError, match="a cost of its own"):
        train(step, compiled(step), steps=1)


def test_what_does_not_move_is_frozen_within_and_what_players_share_moves():
    class Shared(Squares):
        def players(self, model):
            return {"model": nn.ModuleList([model]), "other": nn.ModuleList([model, self.extra])}

        def phases(self, model):
            return (Phase(),)

        def loss(self, batch, model, *, phase, generator):
            return Loss((model(batch.u) + self.extra(batch.u)).square().mean(), {})

    objective = Shared()
    objective.extra = nn.Linear(3, 1)
    step = Step(Line(3, 1), objective)
    loss = compiled(step)(Batch(torch.ones(4, 3)), Phase(), Rows(0, 4)).total
    found = torch.autograd.grad(loss, [step.model.weight, objective.extra.weight], allow_unused=True)
    assert found[0] is not None and found[1] is None
    assert all(p.requires_grad for p in step.parameters())
