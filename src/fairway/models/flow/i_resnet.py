"""i-ResNet and Residual Flow: invertible residual networks (Behrmann et al. 2019; Chen et al. 2019).

    z = (I + g_K) o ... o (I + g_1)(u),    Lipschitz(g_k) < 1,    ladj = sum_k log det(I + dg_k/du)

An ordinary residual network whose branches contract: no masks, no splits, all entries see all others in every block.
Branches are held by spectral normalisation of the operators themselves, and `to_data` is a fixed-point iteration. The
log-determinant is exact for up to 64 entries; above, it is the power series of the trace under fixed probes, and
`likelihood` says "estimate". Training above 16 entries takes an unbiased estimate of that series, stopped at a random
term, with the gradient in its Neumann form. A block alone changes volume by a bounded factor: ahead of each stands a
learned matrix while entries are few, above a scale and a shift per channel. Images are squeezed `levels` times,
(C, H, W) -> (4C, H/2, W/2), and pass through convolutions.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.objective import Objective, Optimisation
from fairway.core.random import Rows
from fairway.models.flow.flow import Flow
from fairway.models.flow.image_flow import checked_levels, image_shape
from fairway.models.flow.transforms.actnorm import ActNorm
from fairway.models.flow.transforms.levels import squeezed_levels
from fairway.models.flow.transforms.linear import Linear
from fairway.models.flow.transforms.residual import Residual
from fairway.models.flow.transforms.transform import Transform
from fairway.networks.lipschitz import LipschitzNetwork
from fairway.objectives.unbiased_mle import UnbiasedMLE


class IResNet(Flow):
    """A chain of contracting residual blocks.

    Args:
        event, context_event: see `Model`.
        transforms: number of blocks, on images of every level (None: 10, on images 4).
        hidden: widths of each branch, channels on images (None: (64,), on images (32, 32)).
        lipschitz: bound of each branch, below 1; nearer to 1 bends more and inverts more slowly.
        levels: squeezes of an image (None: 2 where the size allows); 0 takes it as a vector.
        base, embedding: see `Flow`.

    Class attributes:
        exact_dims: largest number of entries whose log-determinant is exact.
        few_dims: largest number that is trained without estimates, and mixed by learned matrices.

    Raises:
        ValueError: a lipschitz outside (0, 1), levels that the size does not allow.

    >>> flow = IResNet(Event((2,)), transforms=2, hidden=(8,))
    >>> flow.likelihood, IResNet(Event((99,)), transforms=2, hidden=(8,)).likelihood
    ('exact', 'estimate')
    """

    cites = ("behrmann2019i_resnet", "chen2019residual_flows", "perugachi_diaz2021densenets")
    optimisation = Optimisation(lr=3e-3, ema=0.99, clip=5.0)
    exact_dims: ClassVar[int] = 64
    few_dims: ClassVar[int] = 16
    tiny = [
        Case(Event((2,)), None, {"transforms": 3, "hidden": (8,)}),
        Case(Event((1, 4, 4), "integer", low=0, high=7), None, {"transforms": 2, "hidden": (4,)}),
        Case(Event((3,)), Event((), "category", levels=3), {"transforms": 2, "hidden": (8,)}),
        Case(Event((2,), "bounded", low=-1.0, high=3.0), Event((2,)), {"transforms": 2, "hidden": (8, 8)}),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        transforms: int | None = None,
        hidden: Sequence[int] | None = None,
        lipschitz: float = 0.95,
        levels: int | None = None,
        base: Any = "normal",
        embedding: nn.Module | None = None,
    ) -> None:
        super().__init__(event, context_event, base=base, embedding=embedding)
        self.levels = checked_levels(self.model_event, levels)
        self.blocks = transforms or (4 if self.levels else 10)
        self.hidden, self.lipschitz = hidden or ((32, 32) if self.levels else (64,)), lipschitz
        self.transform = squeezed_levels(self.shape, self.levels, self._steps)

    def _steps(self, shape: tuple[int, ...]) -> list[Transform]:
        links: list[Transform] = []
        few = self.dims <= self.few_dims and not self.levels
        for i in range(self.blocks):
            branch = LipschitzNetwork(shape, self.hidden, self.context_dims, self.lipschitz)
            between = Linear(self.dims, seed=i) if few else ActNorm(shape[0])
            links += [between, Residual(branch, self._exact, seed=i)]
        return links

    def default_objective(self) -> Objective:
        return UnbiasedMLE()

    @property
    def shape(self) -> tuple[int, ...]:
        return (image_shape(self.model_event) or (self.dims,)) if self.levels else (self.dims,)

    @property
    def likelihood(self) -> str:
        return "exact" if self._exact else "estimate"

    @property
    def _links(self) -> list[Any]:
        return list(self.transform.links)  # type: ignore[arg-type]

    @property
    def _exact(self) -> bool:
        return self.dims <= self.exact_dims

    def _log_prob_estimate(self, u: Tensor, context: Tensor | None, rows: Rows) -> Tensor:
        """(B,): an estimate whose mean over `rows` is log p(u), and whose gradient's mean is its gradient."""
        if self.dims <= self.few_dims:
            return self._log_prob(u, context)
        z, total = u.reshape(len(u), *self.shape), u.new_zeros(len(u))
        for i, link in enumerate(self._links):
            if isinstance(link, Residual):
                z, ladj = link.to_latent_unbiased(z, context, rows.spawn(i))
            else:
                z, ladj = link.to_latent(z, context)
            total = total + ladj
        return self.base.log_prob(z.flatten(1)) + total

    # -- points without their log-determinants, which cost more than the points -------------------------------------
    def _encode(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        z = u.reshape(len(u), *self.shape)
        for link in self._links:
            z = link.latent_of(z, context) if isinstance(link, Residual) else link.to_latent(z, context)[0]
        return z.reshape(u.shape)

    def _decode(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        u = z.flatten(1)
        for link in reversed(self._links):
            u = link.data_of(u, context) if isinstance(link, Residual) else link.to_data(u, context)[0]
        return u.reshape(z.shape)

    def _sample_at(self, n: int, context: Tensor | None, rows: Rows, temperature: float) -> Tensor:
        z = self.base.sample(self.dims, rows, temperature)
        return self._decode(z.reshape(n, *(s or 1 for s in self.latent_event.shape)), context)
