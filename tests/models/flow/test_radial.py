"""The radial flow: mass pushed away from a point, exact both ways."""

import torch

from fairway.core.event import Event
from fairway.core.random import seeded
from fairway.models.flow.radial import RadialFlow
from fairway.training.fit import fit


def shell(n=2000):
    generator = torch.Generator().manual_seed(0)
    direction = torch.nn.functional.normalize(torch.randn(n, 3, generator=generator))
    return direction * (3 + 0.3 * torch.randn(n, 1, generator=generator))


def test_it_leaves_a_hole_where_the_data_have_one():
    x = shell()
    model, gaussian = fit("radial", x, transforms=6, steps=250, lr=2e-2, seed=0), fit("gaussian", x)
    assert float(model.log_prob(x).mean() - gaussian.log_prob(x).mean()) > 0.3  # nats; the shell's own density 1.0
    inside, before = ((m.sample(4000, generator=0).norm(dim=1) < 1).double().mean() for m in (model, gaussian))
    assert inside < 0.2 * before


def test_draws_know_their_density_in_the_pass_that_makes_them():
    with seeded(0):
        model = RadialFlow(Event((3,)), transforms=5).double().eval()
    for parameter in model.parameters():
        parameter.data.normal_(0, 1.0)
    x, log_prob = model.sample_and_log_prob(50, generator=0)
    torch.testing.assert_close(log_prob, model.log_prob(x), atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(model.decode(model.encode(x)), x, atol=1e-9, rtol=0)


def test_each_map_has_a_centre_and_two_numbers():
    assert sum(p.numel() for p in RadialFlow(Event((5,)), transforms=7).parameters()) == 7 * 7
