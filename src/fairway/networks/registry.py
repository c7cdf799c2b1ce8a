"""Backbones by name: plain modules that know nothing of probability."""

from fairway.core.registry import Registry

NETWORKS = {
    "mlp_critic": "fairway.networks.critic:MLPCritic",
    "conv_generator": "fairway.networks.dcgan:ConvGenerator",
    "conv_critic": "fairway.networks.dcgan:ConvCritic",
    "progan_generator": "fairway.networks.progan:ProGANGenerator",
    "progan_critic": "fairway.networks.progan:ProGANCritic",
    "biggan_generator": "fairway.networks.biggan:BigGANGenerator",
    "biggan_critic": "fairway.networks.biggan:BigGANCritic",
    "skip_net": "fairway.networks.translation:SkipNet",
    "residual_translator": "fairway.networks.translation:ResidualTranslator",
    "patch_critic": "fairway.networks.patch_critic:PatchCritic",
    "conv_encoder": "fairway.networks.conv_encoder:ConvEncoder",
    "joint_critic": "fairway.networks.conv_encoder:JointCritic",
    "conv_net": "fairway.networks.conv:ConvNet",
    "fourier_mlp": "fairway.networks.fourier:FourierMLP",
    "image_statistics": "fairway.networks.filter_bank:ImageStatistics",
    "vector_statistics": "fairway.networks.filter_bank:VectorStatistics",
    "mlp": "fairway.networks.mlp:MLP",
    "tangent_mlp": "fairway.networks.tangent_mlp:TangentMLP",
    "causal_transformer": "fairway.networks.causal_transformer:CausalTransformer",
    "dit": "fairway.networks.dit:DiT",
    "masked_mlp": "fairway.networks.masked:MaskedMLP",
    "resnet": "fairway.networks.resnet:ResNet",
    "time_mlp": "fairway.networks.time_mlp:TimeMLP",
    "unet": "fairway.networks.unet:UNet",
}

networks = Registry("network", NETWORKS)
