"""How many rows a regression on noise takes at once: many of a table, fewer images.

Every row is seen at one noise level of all, so gradients are noisy, and a table's rows cost little: per second of a
processor, batches of 256 learn more of a table than batches of 64. An image has many entries, a regression each.
"""

from fairway.core.event import Event

TABLE, IMAGE = 256, 64


def noise_rows(event: Event) -> int:
    """Rows of a batch.

    >>> noise_rows(Event((10,))), noise_rows(Event((1, 28, 28)))
    (256, 64)
    """
    return IMAGE if event.image else TABLE
