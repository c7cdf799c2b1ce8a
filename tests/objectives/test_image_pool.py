"""A memory of fakes: half of what is shown is old, what left never comes back, and processes agree."""

import torch

from fairway.core.random import Rows
from fairway.objectives.image_pool import ImagePool


def numbered(start, count, shape=(2, 3)):
    """Fakes that say their number in every entry."""
    return torch.arange(start, start + count).float().reshape(-1, *[1] * len(shape)).expand(count, *shape).contiguous()


def numbers(images):
    return images.flatten(1)[:, 0].long().tolist()


def test_fakes_are_shown_as_they_are_until_slots_are_taken():
    pool, fake = ImagePool(8, 6), numbered(1, 8)
    assert torch.equal(pool.exchange(fake, Rows(0, 8)), fake)
    assert sorted(numbers(pool.images)) == list(range(1, 9)) and pool.taken.all()


def test_half_of_what_is_shown_was_made_earlier_and_each_image_once():
    """A fake is shown at once, or kept and shown as it leaves: none is shown twice, none is lost."""
    pool, shown, now = ImagePool(20, 6), [], 0
    pool.exchange(numbered(0, 20), Rows(1000, 20))
    for step in range(200):
        fake = numbered(20 + 4 * step, 4)
        out = pool.exchange(fake, Rows(step, 4))
        now += int((out == fake).all(dim=(1, 2)).sum())
        shown += numbers(out)
    assert sorted(shown + numbers(pool.images)) == list(range(820))
    assert 0.45 < now / 800 < 0.55


def test_rows_beyond_the_slots_pass_by():
    pool = ImagePool(3, 6)
    pool.exchange(numbered(0, 3), Rows(0, 3))
    shown = numbers(pool.exchange(numbered(10, 8), Rows(1, 8)))
    assert shown[3:] == [13, 14, 15, 16, 17]
    nothing, fake = ImagePool(0, 6), numbered(0, 4)
    assert torch.equal(nothing.exchange(fake, Rows(0, 4)), fake)


def test_the_seed_decides_and_images_keep_their_shape():
    def run(seed):
        pool = ImagePool(4, 6)
        for step in range(5):
            shown = pool.exchange(numbered(4 * step, 4), Rows(seed + step, 4))
        return shown

    assert run(0).shape == (4, 2, 3)
    assert torch.equal(run(0), run(0)) and not torch.equal(run(0), run(50))


def test_processes_that_share_a_batch_hold_the_same_pool(monkeypatch):
    """Each sees its own rows of what one process with the whole batch would be shown."""
    alone, both = ImagePool(6, 6), [ImagePool(6, 6), ImagePool(6, 6)]
    for step in range(6):
        fake = numbered(4 * step, 4)
        whole = alone.exchange(fake, Rows(step, 4))
        monkeypatch.setattr("fairway.core.parallel.gathered", lambda x, fake=fake: fake)
        for rank, pool in enumerate(both):
            part = fake[2 * rank : 2 * rank + 2]
            shown = pool.exchange(part, Rows(step, 2, start=2 * rank, shared_by=2))
            assert torch.equal(shown, whole[2 * rank : 2 * rank + 2])
        assert torch.equal(both[0].images, alone.images) and torch.equal(both[1].images, alone.images)


def test_its_images_are_in_the_checkpoint_and_carry_no_gradient():
    pool = ImagePool(4, 6)
    fake = numbered(1, 4).requires_grad_()
    shown = pool.exchange(fake * 2, Rows(0, 4))
    assert not shown.requires_grad and not pool.images.requires_grad
    again = ImagePool(4, 6)
    again.load_state_dict(pool.state_dict())
    assert torch.equal(again.images, pool.images) and again.taken.all()
