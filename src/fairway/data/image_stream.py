"""A folder of images, read when a batch wants them; the same rules as for a folder that is read whole.

order     a permutation of the images in every epoch; a batch reads its own images and no others
digest    the images' paths below the folder and their sizes in bytes: a file that is replaced by another one of
          the same size is not noticed
check     every image is read as it comes: a damaged one, or one of another size, ends the run and is named
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from fairway.core.event import Event
from fairway.data.image_folder import image_paths, labels_of, look_of, read_images
from fairway.data.loader import Loader
from fairway.data.order import Sequence, permutation
from fairway.data.streaming import About, Rows, Stream


class ImageStream(Stream):
    """Images (c, h, w) of bytes below a folder.

    Args:
        folder: where they lie. about: its name.
        event: the support; 256 grey levels by default.

    Raises:
        ValueError: no images. ImportError: Pillow is not installed.
    """

    def __init__(self, folder: Path, about: About, event: Event | None = None) -> None:
        super().__init__(about)
        self.folder, self.paths = folder, image_paths(folder)
        self._look = look_of(self.paths[0])
        self._labels, self.label_names = labels_of(self.paths, folder)
        if self.label_names is not None:
            self.label_event = Event((), "category", levels=len(self.label_names))
        self.event = event or Event(self._look[0], "integer", low=0, high=255)

    def __len__(self) -> int:
        return len(self.paths)

    def parts(self) -> Iterable[tuple[str, bytes]]:
        for path in self.paths:
            yield path.relative_to(self.folder).as_posix(), str(path.stat().st_size).encode()

    def choose(self, count: int, *key: int) -> Tensor:
        return permutation(len(self), *key)[torch.arange(count)].sort().values  # type: ignore[union-attr]

    def read(self, index: Tensor) -> Rows:
        images = read_images([self.paths[i] for i in index.tolist()], self._look, self.paths[0])
        return self.event.check_rows(images, self.name), None if self._labels is None else self._labels[index]

    def reader(self, seed: int, size: int, share: tuple[int, int], without: Tensor) -> Loader:
        kept = torch.ones(len(self), dtype=torch.bool)
        kept[without] = False
        rows = kept.nonzero().flatten()
        sequence = Sequence(len(rows), seed, size, share)

        def requests(k: int) -> Iterator[tuple[int, Tensor]]:
            while True:
                yield k, rows[sequence(k)]
                k += 1

        return Loader(self.read, requests, self.about.workers)
