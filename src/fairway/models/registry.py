"""THE table: one line per model, "name" -> "module:Class". A line here brings the contract, the command line,
the report row, the documentation page and the citation."""

from fairway.core.registry import Registry

MODELS = {
    # classical
    "gaussian": "fairway.models.classical.gaussian:Gaussian",
    "gmm": "fairway.models.classical.mixture:GMM",
    "independent": "fairway.models.classical.histogram:Independent",
    "model_mixture": "fairway.models.classical.model_mixture:ModelMixture",
    "bound_mixture": "fairway.models.classical.model_mixture:BoundMixture",
    # autoregressive
    "made": "fairway.models.autoregressive.made:MADE",
    # latent
    "vae": "fairway.models.latent.vae:VAE",
    # flow
    "nice": "fairway.models.flow.nice:NICE",
    "real_nvp": "fairway.models.flow.real_nvp:RealNVP",
    "maf": "fairway.models.flow.maf:MAF",
    "iaf": "fairway.models.flow.iaf:IAF",
    "nsf": "fairway.models.flow.nsf:NSF",
    "glow": "fairway.models.flow.glow:Glow",
    "cnf": "fairway.models.flow.cnf:CNF",
    "tarflow": "fairway.models.flow.tarflow:TarFlow",
    "planar": "fairway.models.flow.planar:PlanarFlow",
    "radial": "fairway.models.flow.radial:RadialFlow",
    "variational_dequantisation": "fairway.models.flow.dequantised:VariationalDequantisation",
    "i_resnet": "fairway.models.flow.i_resnet:IResNet",
    "mintnet": "fairway.models.flow.mintnet:MintNet",
    # gan
    "gan": "fairway.models.gan.gan:GAN",
    "f_gan": "fairway.models.gan.f_gan:FGAN",
    "wgan": "fairway.models.gan.wgan:WGAN",
    "wgan_gp": "fairway.models.gan.wgan_gp:WGANGP",
    "r3gan": "fairway.models.gan.r3gan:R3GAN",
    "dcgan": "fairway.models.gan.dcgan:DCGAN",
    "cgan": "fairway.models.gan.cgan:CGAN",
    "progan": "fairway.models.gan.progan:ProGAN",
    "biggan": "fairway.models.gan.biggan:BigGAN",
    "pix2pix": "fairway.models.gan.pix2pix:Pix2Pix",
    "cycle_gan": "fairway.models.gan.cycle_gan:CycleGAN",
    "pac_gan": "fairway.models.gan.pac_gan:PacGAN",
    "unrolled_gan": "fairway.models.gan.unrolled_gan:UnrolledGAN",
    "bigan": "fairway.models.gan.bigan:BiGAN",
    "veegan": "fairway.models.gan.veegan:VEEGAN",
    # energy
    "ebm": "fairway.models.energy.energy:EBM",
    "joint": "fairway.models.energy.joint:Joint",
    "frame": "fairway.models.energy.frame:FRAME",
    "product": "fairway.models.energy.product:Product",
    "rbm": "fairway.models.energy.rbm:RBM",
    "potts": "fairway.models.energy.potts:Potts",
    # diffusion
    "flow_matching": "fairway.models.diffusion.flow_matching:FlowMatching",
    "interpolant": "fairway.models.diffusion.interpolant:Interpolant",
    "ncsn": "fairway.models.diffusion.ncsn:NCSN",
    "score_sde": "fairway.models.diffusion.score_sde:ScoreSDE",
    "ddpm": "fairway.models.diffusion.ddpm:DDPM",
    "edm": "fairway.models.diffusion.edm:EDM",
}

models = Registry("model", MODELS)
