"""Backbones by name: plain modules that know nothing of probability."""

from fairway.core.registry import Registry

NETWORKS = {
    "mlp": "fairway.networks.mlp:MLP",
    "masked_mlp": "fairway.networks.masked:MaskedMLP",
    "time_mlp": "fairway.networks.time_mlp:TimeMLP",
}

networks = Registry("network", NETWORKS)
