"""The radial flow: the base swells or shrinks around points, one after the other (Rezende and Mohamed 2015).

    u = f_K o ... o f_1(z),   f_k(z) = z + beta_k (z - z_k) / (alpha_k + |z - z_k|)

    log p(u) = log p(z) - sum_k [(D - 1) log(1 + beta_k h_k) + log(1 + beta_k alpha_k h_k^2)],   h_k = 1/(alpha_k + r_k)

D + 2 numbers a step. Both directions are closed forms (see `transforms.radial`), so it learns from data as well as it
serves as a posterior; what it can say is blunt, mass moved to or from balls.
"""

from fairway.models.flow.planar import PlanarFlow
from fairway.models.flow.transforms.radial import Radial


class RadialFlow(PlanarFlow):
    """A chain of radial maps; options as for `planar`.

    >>> from fairway.core.event import Event
    >>> flow = RadialFlow(Event((2,)), transforms=2)
    >>> flow.sample(3, generator=0).shape
    torch.Size([3, 2])
    """

    step = Radial
    cites = ("rezende2015flows",)
