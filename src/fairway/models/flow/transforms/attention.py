"""An autoregressive affine map of tokens, whose parameters come from attention to the tokens before.

    u = [x_0, ..., x_{T-1}], tokens of P entries         (s_t, m_t) = phi(x_0, ..., x_{t-1}, context)
    z_t = x_t e^{s_t} + m_t       Jacobian block-triangular with diagonal blocks, ladj = sum s        (one pass)
    x_t = (z_t - m_t) e^{-s_t}    one token after the other: T steps that keep keys and values, together one pass

Reversed, it reads the tokens from the last to the first; a chain alternates, so that every token moves given those on
both sides. Guidance (Ho and Salimans 2021; for flows Zhai et al. 2024) goes back with the mean and the log
scale of x_t at a point on the line through those without the context (0) and with it (1): beyond 1 the context says
more than the model believes. D entries that are no multiple of P are padded; what is padded passes through unmoved.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from fairway.models.flow.transforms.transform import Transform
from fairway.models.flow.transforms.univariate import affine
from fairway.networks.causal_transformer import CausalTransformer


class CausalAttention(Transform):
    """Vectors (B, D), token after token.

    Args:
        dims: D.
        network: of T tokens with P inputs and 2 P outputs, T P >= D.
        size: P.
        reverse: read the tokens from the last to the first.
    """

    real: Tensor

    one_by_one = frozenset({"to_data"})

    def __init__(self, dims: int, network: CausalTransformer, size: int, reverse: bool) -> None:
        super().__init__()
        self.dims, self.network, self.size, self.reverse = dims, network, size, reverse
        self.register_buffer("real", self._tokens(torch.ones(1, dims))[0], persistent=False)

    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = self._tokens(u)
        z, ladj = affine.to_latent(x, self._phi(self.network(x, context), self.real))
        return self._vectors(z), ladj.sum((1, 2))

    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.to_data_guided(z, context, 1.0)

    def to_data_guided(self, z: Tensor, context: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
        """`to_data` at a guidance scale."""
        given = [context] if scale == 1.0 else [None] if scale == 0.0 else [None, context]
        states = [self.network.init_state(len(z), c) for c in given]
        tokens: list[Tensor] = []
        ladj = z.new_zeros(len(z))
        for token, real in zip(self._tokens(z).unbind(1), self.real, strict=True):
            previous = tokens[-1] if tokens else None
            laws = [self._law(self.network.step(state, previous), real) for state in states]
            mean, log_scale = laws[0] if len(laws) == 1 else torch.lerp(laws[0], laws[1], scale)
            tokens.append(torch.addcmul(mean, token, log_scale.exp()))
            ladj = ladj + log_scale.sum(1)
        return self._vectors(torch.stack(tokens, 1)), ladj

    def _law(self, output: Tensor, real: Tensor) -> Tensor:
        """(2, B, P): mean and log scale of the next token, whose noise is z."""
        phi = self._phi(output, real)
        return torch.stack(affine.to_data(torch.zeros_like(phi[0]), phi))

    def _phi(self, output: Tensor, real: Tensor) -> Tensor:
        """(B, ..., 2 P) -> (2, B, ..., P), zero where there is only padding."""
        return torch.stack(output.chunk(affine.parameters, -1)) * real

    def _tokens(self, u: Tensor) -> Tensor:
        """(B, D) -> (B, T, P), in the order of reading."""
        x = F.pad(u, (0, -self.dims % self.size)).unflatten(1, (-1, self.size))
        return x.flip(1) if self.reverse else x

    def _vectors(self, x: Tensor) -> Tensor:
        """Back to (B, D)."""
        return (x.flip(1) if self.reverse else x).flatten(1)[:, : self.dims]
