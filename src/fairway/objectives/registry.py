"""Objectives and solvers by name: one file per principle of learning."""

from fairway.core.registry import Registry

OBJECTIVES = {
    "mle": "fairway.objectives.mle:MLE",
    "noisy_mle": "fairway.objectives.noisy_mle:NoisyMLE",
    "unbiased_mle": "fairway.objectives.unbiased_mle:UnbiasedMLE",
    "kinetic_mle": "fairway.objectives.kinetic_mle:KineticMLE",
    "em": "fairway.objectives.em:EM",
    "counts": "fairway.objectives.counts:Counts",
    "elbo": "fairway.objectives.elbo:ELBO",
    "adversarial": "fairway.objectives.adversarial:Adversarial",
    "progressive": "fairway.objectives.progressive:Progressive",
    "orthogonal": "fairway.objectives.orthogonal:Orthogonal",
    "paired": "fairway.objectives.paired:Paired",
    "cycle": "fairway.objectives.cycle:Cycle",
    "packing": "fairway.objectives.packing:Packing",
    "unrolled": "fairway.objectives.unrolled:Unrolled",
    "feature_matching": "fairway.objectives.feature_matching:FeatureMatching",
    "bidirectional": "fairway.objectives.bidirectional:Bidirectional",
    "veegan": "fairway.objectives.veegan:VEEGAN",
    "persistent": "fairway.objectives.persistent:PersistentContrastiveDivergence",
    "joint_energy": "fairway.objectives.joint_energy:JointEnergy",
    "response_matching": "fairway.objectives.response_matching:ResponseMatching",
    "contrastive_divergence": "fairway.objectives.contrastive_divergence:ContrastiveDivergence",
    "mle_mcmc": "fairway.objectives.mle_mcmc:MLEByMCMC",
    "nce": "fairway.objectives.nce:NCE",
    "reverse_kl": "fairway.objectives.reverse_kl:ReverseKL",
    "score_matching": "fairway.objectives.score_matching:ScoreMatching",
    "denoising_score_matching": "fairway.objectives.denoising_score_matching:DenoisingScoreMatching",
    "sliced_score_matching": "fairway.objectives.sliced_score_matching:SlicedScoreMatching",
    "denoising": "fairway.objectives.denoising:Denoising",
    "hybrid_denoising": "fairway.objectives.hybrid_denoising:HybridDenoising",
    "flow_matching": "fairway.objectives.flow_matching:ConditionalFlowMatching",
    "interpolation": "fairway.objectives.interpolation:Interpolation",
    "reflow": "fairway.objectives.reflow:Reflow",
}

objectives = Registry("objective", OBJECTIVES)
