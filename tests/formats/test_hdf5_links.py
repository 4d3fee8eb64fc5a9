"""Links: followed by hand, cycles end, other files only where allowed."""

import h5py
import numpy as np
import pytest

from lazyzarr.errors import SourceMissing, UnsupportedFeature
from lazyzarr.formats.hdf5 import import_array, import_file
from lazyzarr.formats.hdf5_model import Hdf5Array, Hdf5Refused
from tests.formats.hdf5_reading import read, same, url_of


@pytest.fixture
def path(tmp_path):
    return tmp_path / "links.h5"


def group_of(path, **options):
    return import_file(str(path), url_of(path), **options)


def test_groups_soft_links_and_hard_links(path):
    with h5py.File(path, "w") as f:
        f["über/deep er/x"] = np.arange(4)
        f["soft"] = h5py.SoftLink("/über/deep er/x")
        f["über/relative"] = h5py.SoftLink("deep er/x")
        f["hard"] = f["über/deep er/x"]
        f["chain"] = h5py.SoftLink("soft")
        f["folder"] = h5py.SoftLink("/über")
        f["dangling"] = h5py.SoftLink("/nothing")
        f["loop"] = h5py.SoftLink("/loop")
    group = group_of(path)
    for item in (
        *(group.arrays[name] for name in ("soft", "hard", "chain")),
        group.groups["über"].arrays["relative"],
        group.groups["folder"].groups["deep er"].arrays["x"],
        import_array(str(path), url_of(path), "folder/relative"),
    ):
        same(read(item), np.arange(4))
    assert group.arrays["dangling"].reason == "source-missing"
    assert group.arrays["loop"].reason == "source-unsupported"
    with pytest.raises(SourceMissing):
        import_array(str(path), url_of(path), "dangling")
    with pytest.raises(UnsupportedFeature):
        import_array(str(path), url_of(path), "loop")
    with pytest.raises(SourceMissing):
        import_array(str(path), url_of(path), "über")


def test_cycles_of_hard_links_end(path):
    with h5py.File(path, "w") as f:
        f["a/b/x"] = 1
        f["a/b/up"] = f["a"]
        f["a/root"] = f["/"]
    group = group_of(path)
    assert group.groups["a"].arrays["root"].reason == "source-unsupported"
    assert group.groups["a"].groups["b"].arrays["up"].reason == "source-unsupported"
    assert isinstance(group.groups["a"].groups["b"].arrays["x"], Hdf5Array)


def test_many_paths_to_one_group_are_not_walked_again_and_again(path):
    with h5py.File(path, "w") as f:
        below = f.create_group("last")
        for _ in range(40):
            above = f.create_group(None)
            above["l"], above["r"] = below, below
            below = above
        f["top"] = below
    group = group_of(path)
    assert "l" in group.groups["top"].groups
    refused, stack = [], [group]
    while stack:
        one = stack.pop()
        stack.extend(one.groups.values())
        refused.extend(item.reason for item in one.arrays.values())
    assert set(refused) == {"source-unsupported"}


def test_external_links(tmp_path, path):
    (tmp_path / "sub").mkdir()
    (tmp_path.parent / "outside.h5").unlink(missing_ok=True)
    for place in (tmp_path / "sub" / "o ther.h5", tmp_path.parent / "outside.h5"):
        with h5py.File(place, "w") as f:
            f["g/x"] = np.arange(5)
            f["back"] = h5py.ExternalLink("../links.h5", "/below")
    with h5py.File(path, "w") as f:
        f["below"] = h5py.ExternalLink("sub/o ther.h5", "/g/x")
        f["group"] = h5py.ExternalLink("sub/o ther.h5", "/g")
        f["outside"] = h5py.ExternalLink("../outside.h5", "/g/x")
        f["gone"] = h5py.ExternalLink("sub/gone.h5", "/g/x")
        f["through"] = h5py.SoftLink("/group/x")
        f["cycle"] = h5py.ExternalLink("links.h5", "/cycle")
    group = group_of(path)
    for item in (group.arrays["below"], group.groups["group"].arrays["x"], group.arrays["through"]):
        same(read(item), np.arange(5))
        assert item.location == url_of(tmp_path / "sub" / "o ther.h5")
    reasons = {name: item.reason for name, item in group.arrays.items() if isinstance(item, Hdf5Refused)}
    assert reasons == {"outside": "access-denied", "gone": "source-missing", "cycle": "source-unsupported"}
    assert isinstance(group_of(path, allow_external=lambda url: True).arrays["outside"], Hdf5Array)
    nothing = group_of(path, allow_external=lambda url: False)
    assert {item.reason for item in nothing.arrays.values()} == {"access-denied"}
    (tmp_path.parent / "outside.h5").unlink()
