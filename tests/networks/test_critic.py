import torch

from fairway.networks.critic import MLPCritic


def test_a_logit_for_a_row_and_its_context():
    critic, u = MLPCritic(5, (8,)), torch.randn(4, 3, 1)
    a, b = critic(u, torch.zeros(4, 2)), critic(u, torch.ones(4, 2))
    assert a.shape == (4,) and (a != b).all()
    assert critic.arguments == {"inputs": 5, "hidden": (8,), "act": "leaky_relu"}
