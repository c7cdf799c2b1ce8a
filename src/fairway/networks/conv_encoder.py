"""The convolutions of `ConvCritic` with another head: what an image says in k numbers, and whether it goes with others.

    encoder         e(u, c) = W act(V [h(u), c] + a) + b               (B, k)
    joint critic    d(u, c), the same with k = 1                       (B,)

h are the features of a DCGAN's critic. `ConvCritic` itself is told its context by projection, which is linear in c and
sees no more of it than its mean given the image; where c is to have the right law, as a latent in a bidirectional game
is, image and vector meet in a perceptron (Donahue et al. 2017; Dumoulin et al. 2017). Shapes: u (B, C, H, W) or
(B, H, W), c (B, ...) or none.
"""

from collections.abc import Sequence

from torch import Tensor

from fairway.networks.dcgan import ConvCritic
from fairway.networks.joined import joined
from fairway.networks.mlp import MLP

HEAD = (256,)  # widths of the perceptron in which image and vector meet


class ConvEncoder(ConvCritic):
    """u (B, *shape), context (B, ...) or None -> (B, outputs).

    Args:
        shape: of an image, (C, H, W) or (H, W).
        outputs: entries of the answer.
        context: entries of the context, 0 for none.
        hidden, norm: as `ConvCritic`.

    Raises:
        ValueError: sides that cannot be halved so often.

    >>> import torch
    >>> ConvEncoder((28, 28), 16)(torch.zeros(2, 28, 28)).shape
    torch.Size([2, 16])
    """

    def __init__(
        self,
        shape: Sequence[int | None],
        outputs: int,
        context: int = 0,
        hidden: Sequence[int] = (64, 128),
        norm: str = "none",
    ) -> None:
        super().__init__(shape, 0, hidden, norm)
        self.head = MLP(self.last.in_features + context, outputs, HEAD, "leaky_relu")
        del self.last

    def forward(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        out: Tensor = self.head(joined(self.features(u), context))
        return out


class JointCritic(ConvEncoder):
    """u (B, *shape), context (B, ...) -> (B,): the image's features and the context in one perceptron.

    Args:
        shape, context, hidden, norm: as `ConvCritic`.

    Raises:
        ValueError: sides that cannot be halved so often.

    >>> import torch
    >>> JointCritic((28, 28), 5)(torch.zeros(2, 28, 28), torch.zeros(2, 5)).shape
    torch.Size([2])
    """

    def __init__(
        self, shape: Sequence[int | None], context: int = 0, hidden: Sequence[int] = (64, 128), norm: str = "none"
    ) -> None:
        super().__init__(shape, 1, context, hidden, norm)

    def forward(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        return super().forward(u, context).squeeze(1)
