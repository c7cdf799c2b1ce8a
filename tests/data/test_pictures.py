"""Named sets of pictures: the published counts, what is made of a pixel, and files that are absent or others."""

import hashlib

import numpy as np
import pytest
import torch

import fairway as fw
from fairway.core.event import Event
from fairway.data import images, load, pictures

FILES = {"usps": "usps.npz", "crawl_tiles": "crawl_tiles32.npz", "facades": "facades128.npz"}
KINDS = {"UNUSED": 265, "dngn": 1103, "effect": 195, "gui": 274, "item": 622, "misc": 220, "mon": 679, "player": 789}


# -- USPS -------------------------------------------------------------------------------------------------------
def test_usps_is_the_published_one(data_folder):
    data = load("usps", folder=data_folder)
    assert data.x.shape == (7291, 16, 16) and data.x.dtype == torch.uint8 and data.event.levels == 256
    assert torch.bincount(data.labels).tolist() == [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644]
    assert torch.bincount(data.test.labels).tolist() == [359, 264, 198, 166, 200, 160, 170, 147, 166, 177]
    assert data.x.double().mean().div(255).item() == pytest.approx(0.254481, abs=1e-5)
    assert data.test.x.double().mean().div(255).item() == pytest.approx(0.267609, abs=1e-5)
    assert data.split()[1] is data.test and data.protocol == "grey levels 0..255" and data.label_names[3] == "3"


def test_in_a_margin_its_digits_stand_as_those_of_mnist(data_folder):
    """Mean pictures of a digit agree in the two sets: none is turned, mirrored or mislabelled."""
    post, digits = load("usps", folder=data_folder, side=20), images.mnist(data_folder)
    ours = directions(means(torch.nn.functional.pad(post.x, (4, 4, 4, 4)), post.labels))
    x, labels = digits.x[:20_000], digits.labels[:20_000]
    others = (x, x.mT, x.flip(2), x.flip(1))
    as_they_are, *changed = (float((ours * directions(means(other, labels))).sum(1).mean()) for other in others)
    assert as_they_are > 0.6 and max(changed) < as_they_are - 0.2


def test_at_28_pixels_it_is_a_partner_of_mnist(data_folder):
    data = load("usps", folder=data_folder, side=28)
    assert data.event == Event((28, 28), "integer", low=0, high=255) and data.options == {"side": 28}
    assert data.test.x.shape == (2007, 28, 28)
    assert data.protocol == data.test.protocol == "grey levels 0..255, resized to 28 x 28"


def means(x, labels):
    return torch.stack([x[labels == c].float().mean(0).flatten() for c in range(10)])


def directions(rows):
    rows = rows - rows.mean(0)
    return rows / rows.norm(dim=1, keepdim=True)


def test_levels_go_to_the_nearest_byte():
    levels = torch.arange(2001).reshape(1, 3, 667)
    byte = torch.cat([pictures.to_bytes(level.reshape(1, 1, 1), 1).flatten() for level in levels.flatten()]).long()
    assert ((byte * 2000 - levels.flatten() * 255).abs() <= 1000).all()
    assert byte.unique().tolist() == list(range(256))


@pytest.mark.parametrize("side", [8, 28, 33])
def test_resizing_is_even_handed(side):
    x = torch.randint(0, 2001, (3, 16, 16), dtype=torch.int16)
    resized = pictures.to_bytes(x, side)
    assert torch.equal(pictures.to_bytes(x.flip(2), side), resized.flip(2))
    assert torch.equal(pictures.to_bytes(x.mT, side), resized.mT)
    assert (pictures.to_bytes(torch.full_like(x, 1200), side) == 153).all()
    assert resized.float().mean().item() == pytest.approx(x.float().mean().item() * 255 / 2000, abs=3)


# -- tiles ------------------------------------------------------------------------------------------------------
def test_tiles_are_as_many_of_each_kind(data_folder):
    data = load("crawl_tiles", folder=data_folder)
    assert data.x.shape == (4147, 3, 32, 32) and data.test is None and data.validation is None
    assert dict(zip(data.label_names, torch.bincount(data.labels).tolist(), strict=True)) == KINDS
    with np.load(data_folder / "crawl_tiles" / FILES["crawl_tiles"]) as archive:
        rgba, names = archive["rgba"], archive["name"].tolist()
    row = names.index("mon/animals/black_bear")
    assert data.label_names[data.labels[row]] == "mon"
    seen, opacity = data.x[row].permute(1, 2, 0).numpy(), rgba[row, ..., 3]
    assert (seen[opacity == 0] == 0).all() and (seen[opacity == 255] == rgba[row, ..., :3][opacity == 255]).all()
    assert 0 < (opacity == 0).mean() < 1


def test_colour_times_opacity_is_rounded():
    colour, opacity = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    rgba = torch.stack([colour, 0 * colour, 255 - colour, opacity], -1)[None].to(torch.uint8)
    red, green, blue = pictures.over_black(rgba)[0].long()
    assert ((255 * red - colour * opacity).abs() <= 127).all() and not green.any()
    assert ((255 * blue - (255 - colour) * opacity).abs() <= 127).all()


# -- facades ----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def halved(data_folder):
    return load("facades", folder=data_folder, side=64)


def test_facades_have_maps_as_labels_and_official_splits(data_folder, halved):
    data = load("facades", folder=data_folder)
    parts = (data, data.validation, data.test)
    assert [len(part) for part in parts] == [400, 100, 106]
    assert all(part.x.shape[1:] == (3, 128, 128) and part.labels.shape[1:] == (128, 128) for part in parts)
    share = torch.bincount(data.labels.flatten(), minlength=12) / data.labels.numel()
    assert share[:3].tolist() == pytest.approx([0.25002, 0.35097, 0.12203], abs=1e-5)
    assert data.label_event == Event((128, 128), "category", levels=12)
    assert data.protocol == "levels 0..255" and halved.protocol == "levels 0..255, means of 2 x 2"
    assert halved.x.double().mean().item() == pytest.approx(data.x.double().mean().item() + 0.125, abs=0.01)
    corners = torch.stack([data.labels[:, i::2, j::2] for i in (0, 1) for j in (0, 1)])
    alike = (corners == corners[0]).all(0)
    assert torch.equal(halved.labels[alike], corners[0][alike]) and alike.float().mean() > 0.7


def test_a_map_lies_on_its_own_photograph(halved):
    """Parts explain brightness: less so those of the neighbour's house, or mirrored ones."""
    grey, maps = halved.x.float().mean(1), halved.labels
    own = explained(grey, maps)
    assert own > 0.1
    assert max(explained(grey, other) for other in (maps.roll(1, 0), maps.flip(1), maps.flip(2), maps.mT)) < own - 0.03


def explained(grey, maps):
    """The share of the variance within a picture that the means of its parts have."""
    shares = []
    for picture, parts in zip(grey[:100], maps[:100], strict=True):
        y, c = picture.flatten() - picture.mean(), parts.flatten()
        count = torch.bincount(c, minlength=12).clamp(min=1)
        mean = torch.bincount(c, weights=y, minlength=12) / count
        shares.append(float((mean[c] ** 2).mean() / (y**2).mean()))
    return sum(shares) / len(shares)


def test_blocks_of_pixels():
    x = torch.randint(0, 256, (2, 3, 8, 12), dtype=torch.uint8)
    for times in (1, 2, 4):
        expected = torch.nn.functional.avg_pool2d(x.double(), times)
        assert ((pictures.block_mean(x, times) - expected).abs() <= 0.5).all()
    maps = torch.tensor([[[1, 2, 3, 3], [2, 1, 0, 3], [5, 4, 0, 1], [3, 2, 2, 2]]])
    assert pictures.block_majority(maps, 2, 6).tolist() == [[[1, 3], [2, 2]]]
    assert torch.equal(pictures.block_majority(maps, 1, 6), maps)


# -- files of one's own making ----------------------------------------------------------------------------------
def arrays(name):
    """A few rows in the format of the published file."""
    draw = np.random.default_rng(0)
    if name == "usps":
        return {
            key: draw.integers(0, 2001, (4, 16, 16)).astype(np.int16)
            if "label" not in key
            else np.arange(4, dtype="u1")
            for key in ("train", "test", "train_label", "test_label")
        }
    if name == "crawl_tiles":
        rgba = draw.integers(0, 256, (3, 32, 32, 4)).astype(np.uint8)
        return {"rgba": rgba, "name": np.array(["mon/orc", "item/ring/gold", "mon/rat"])}
    kinds = {"photo": (256, (128, 128, 3)), "label": (12, (128, 128))}
    return {
        f"{part}_{kind}": draw.integers(0, high, (n, *shape)).astype(np.uint8)
        for part, n in (("train", 4), ("val", 2), ("test", 3))
        for kind, (high, shape) in kinds.items()
    }


@pytest.fixture
def own_files(tmp_path, monkeypatch):
    """Each set in its own subfolder, under the digests of what was written."""
    for name, file in FILES.items():
        path = tmp_path / name / file
        path.parent.mkdir()
        np.savez(path, **arrays(name))
        monkeypatch.setitem(pictures.DIGESTS, name, {file: hashlib.sha256(path.read_bytes()).hexdigest()})
    monkeypatch.setenv("FAIRWAY_DATA", str(tmp_path))
    return tmp_path


def test_rows_keep_their_order_and_labels(own_files):
    given = {name: arrays(name) for name in FILES}
    data = load("usps")
    assert torch.equal(data.x, pictures.to_bytes(torch.from_numpy(given["usps"]["train"]), 16))
    assert torch.equal(data.test.x, pictures.to_bytes(torch.from_numpy(given["usps"]["test"]), 16))
    assert load("crawl_tiles").label_names == ("item", "mon") and load("crawl_tiles").labels.tolist() == [1, 0, 1]
    data = load("facades")
    for part, key in ((data, "train"), (data.validation, "val"), (data.test, "test")):
        assert np.array_equal(part.x.permute(0, 2, 3, 1), given["facades"][f"{key}_photo"])
        assert np.array_equal(part.labels, given["facades"][f"{key}_label"])


def test_pix2pix_learns_photographs_of_maps(own_files):
    model = fw.fit("pix2pix", load("facades", side=16), context="labels", steps=1, validation=0, latent=2, hidden=(4,))
    assert model.context_event.shape == (16, 16)
    drawn = model.translate(load("facades", side=16).test.labels)
    assert drawn.shape == (3, 3, 16, 16)


@pytest.mark.parametrize("name", FILES)
def test_another_file_is_refused(name, own_files):
    path = own_files / name / FILES[name]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"expected .*{FILES[name]} with SHA-256 .*download it again"):
        load(name)


@pytest.mark.parametrize("name", FILES)
def test_an_absent_file_says_where_it_is_looked_for(name, tmp_path, monkeypatch):
    monkeypatch.delenv("FAIRWAY_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=rf"files of {name} in {tmp_path} .*{FILES[name]}; get them from"):
        load(name, folder=tmp_path)


@pytest.mark.parametrize(
    "name, side, says",
    [
        ("usps", 3, r"side in 4\.\.64 for usps, got 3"),
        ("usps", 65, r"got 65"),
        ("facades", 256, "among 128, 64, 32, 16"),
        ("facades", 48, "got 48"),
    ],
)
def test_sides_that_are_not_offered(name, side, says):
    with pytest.raises(ValueError, match=says):
        load(name, side=side)
