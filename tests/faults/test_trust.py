"""What an opened document may reach: what is beside it, and what its reader allowed; nothing widens that."""

from __future__ import annotations

import os
import pickle
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

import lazyzarr as lz
from tests.economics.watching import watched

DATA = np.arange(64, dtype="i4").reshape(8, 8)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    zarr.create_array(tmp_path / "secret" / "a.zarr", data=DATA, chunks=(4, 4))
    with h5py.File(tmp_path / "secret" / "x.h5", "w") as file:
        file.create_dataset("d", data=DATA, chunks=(1, 8))
    return tmp_path / "secret"


@pytest.fixture
def public(tmp_path: Path) -> Path:
    zarr.create_array(tmp_path / "public" / "mine.zarr", data=DATA, chunks=(4, 4))
    return tmp_path / "public"


def documents(secret: Path, public: Path) -> list[Path]:
    """Views beside ``mine.zarr`` that reach into ``secret``: by one source, by a file, by a table in the document."""
    array = lz.open(secret / "a.zarr")
    views = {
        "source": array,
        "file": lz.open(secret / "x.h5", "d"),
        "joined": lz.concat([lz.open(public / "mine.zarr"), array]),
        "tiles": lz.concat([array] * 40),
    }
    for name, view in views.items():
        lz.save(view, public / f"{name}.zarr")
    return [public / f"{name}.zarr" for name in views]


def test_a_document_that_reaches_out_is_refused_before_anything_is_touched(secret: Path, public: Path) -> None:
    for path in documents(secret, public):
        with watched(secret) as touched, pytest.raises(lz.AccessDenied) as caught:
            lz.open(path)
        assert touched == []
        assert caught.value.reason == "access-denied"
        assert f'allow=["file://{secret}/' in str(caught.value)
        assert "LAZYZARR_ALLOW" in str(caught.value)
        allowed = re.findall(r'allow=\["([^"]+)"\]', str(caught.value))
        assert lz.open(path, allow=allowed).read().shape[1:] == (8,)


def test_a_table_beside_the_document_is_checked_row_by_row(secret: Path, public: Path) -> None:
    mine, other = lz.open(public / "mine.zarr"), lz.open(secret / "a.zarr")
    lz.save(lz.concat([mine] * 299 + [other]), public / "many.zarr")
    view = lz.open(public / "many.zarr")
    np.testing.assert_array_equal(view[:8].read(), DATA)
    for part in (view[-8:], view[-1, -1]):
        with watched(secret) as touched, pytest.raises(lz.AccessDenied) as caught:
            part.read()
        assert touched == []
        assert str(secret) in str(caught.value)
    np.testing.assert_array_equal(lz.open(public / "many.zarr", allow=[secret])[-8:].read(), DATA)


def test_allow_is_by_whole_names(secret: Path, public: Path) -> None:
    path = documents(secret, public)[0]
    for entry in (secret, f"file://{secret}", f"{secret}/a.zarr", secret.parent):
        np.testing.assert_array_equal(lz.open(path, allow=[entry]).read(), DATA)
    for entry in (str(secret)[:-1], f"{secret}/a", f"{secret}/a.zar", "s3://bucket", public):
        with pytest.raises(lz.AccessDenied):
            lz.open(path, allow=[entry])


def test_allow_by_the_environment_and_by_a_file(
    secret: Path, public: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = documents(secret, public)[0]
    monkeypatch.setenv("LAZYZARR_ALLOW", f"s3://bucket/x, file://{secret}/")
    np.testing.assert_array_equal(lz.open(path).read(), DATA)
    monkeypatch.setenv("LAZYZARR_ALLOW", "")
    with pytest.raises(lz.AccessDenied):
        lz.open(path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "lazyzarr").mkdir()
    (tmp_path / "lazyzarr" / "lazyzarr.toml").write_text(f'allow = ["{secret}"]')
    np.testing.assert_array_equal(lz.open(path).read(), DATA)


def test_a_link_does_not_lead_out(secret: Path, public: Path) -> None:
    lz.save(lz.open(public / "mine.zarr"), public / "view.zarr")
    shutil.rmtree(public / "mine.zarr")
    (public / "mine.zarr").symlink_to(secret / "a.zarr")
    view = lz.open(public / "view.zarr", verify=False)
    for part in (view, view[0, 0]):
        with pytest.raises(lz.AccessDenied):
            part.read()
    np.testing.assert_array_equal(lz.open(public / "view.zarr", verify=False, allow=[secret]).read(), DATA)
    # what a person names may be a link
    np.testing.assert_array_equal(lz.open(public / "mine.zarr").read(), DATA)
    (public / "mine.zarr").unlink()
    shutil.copytree(secret / "a.zarr", public / "mine.zarr")
    chunk = public / "mine.zarr" / "c" / "1" / "1"
    chunk.unlink()
    chunk.symlink_to(secret / "a.zarr" / "c" / "1" / "1")
    for part in (view, view[7, 7]):
        with pytest.raises(lz.AccessDenied):
            part.read()


def test_absent_chunks_of_an_array_that_a_link_leads_to_are_not_fill(secret: Path, public: Path) -> None:
    """Its metadata is just what was referenced, time and inode too, so only the link tells."""
    zarr.create_array(public / "empty.zarr", shape=(8, 8), chunks=(4, 4), dtype="i4")
    lz.save(lz.open(public / "empty.zarr"), public / "view.zarr")
    view = lz.open(public / "view.zarr")
    parts = (view, view[:5, :5], view[0, 0], view[::-1, 3])
    assert not any(part.read().any() for part in parts)
    shutil.move(public / "empty.zarr", secret / "empty.zarr")
    (public / "empty.zarr").symlink_to(secret / "empty.zarr")
    for fresh in (view, lz.open(public / "view.zarr")):
        for part in (fresh, fresh[:5, :5], fresh[0, 0], fresh[::-1, 3]):
            with pytest.raises(lz.AccessDenied):
                part.read()
    assert not lz.open(public / "view.zarr", allow=[secret]).read().any()


def test_metadata_as_referenced_is_not_opened_again(public: Path) -> None:
    lz.save(lz.open(public / "mine.zarr"), public / "view.zarr")
    view = lz.open(public / "view.zarr")
    for part, chunks in ((view[0, 0], 1), (view, 4)):
        with watched(public / "mine.zarr") as touched:
            part.read()
        assert sorted({Path(path).name for path in touched}) == (["0"] if chunks == 1 else ["0", "1"])
        assert len(touched) == chunks


def test_trust_does_not_follow_joining_or_pickling(secret: Path, public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A view that may not reach something may not either beside one that may."""
    lz.save(lz.open(public / "mine.zarr"), public / "view.zarr")
    shutil.rmtree(public / "mine.zarr")
    (public / "mine.zarr").symlink_to(secret / "a.zarr")
    trusted = lz.open(secret / "a.zarr")
    allowed = lz.open(public / "view.zarr", allow=[secret], verify=False)
    narrow = lz.open(public / "view.zarr", verify=False)
    for view in (
        lz.concat([trusted, narrow]),
        lz.concat([allowed, narrow]),
        lz.stack([narrow, narrow[::-1]]),
        narrow.T,
    ):
        with pytest.raises(lz.AccessDenied):
            view.read()
        with pytest.raises(lz.AccessDenied):
            pickle.loads(pickle.dumps(view)).read()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(allowed)).read(), DATA)
    np.testing.assert_array_equal(lz.concat([trusted, allowed]).read(), np.concatenate([DATA, DATA]))


def test_a_view_of_an_opened_view_is_a_document_like_any_other(secret: Path, public: Path, tmp_path: Path) -> None:
    path = documents(secret, public)[0]
    allowed = lz.open(path, allow=[secret])
    lz.save(allowed[::2], public / "second.zarr")
    with pytest.raises(lz.AccessDenied):
        lz.open(public / "second.zarr")
    lz.save(allowed[::2], secret / "inside.zarr")
    np.testing.assert_array_equal(lz.open(secret / "inside.zarr").read(), DATA[::2])
    lz.save({"a": allowed}, public / "group.zarr")
    with pytest.raises(lz.AccessDenied):
        lz.open(public / "group.zarr", "a")
    np.testing.assert_array_equal(lz.open(public / "group.zarr", "a", allow=[secret]).read(), DATA)


def test_saving_what_a_document_may_not_reach_does_not_open_it(secret: Path, public: Path) -> None:
    """A table is not read before it is used; saved under a wider place it would be trusted."""
    mine, other = lz.open(public / "mine.zarr"), lz.open(secret / "a.zarr")
    lz.save(lz.concat([mine] * 299 + [other]), public / "many.zarr")
    view = lz.open(public / "many.zarr")
    for content in (view, view[::-1], {"a": view}):
        with pytest.raises(lz.AccessDenied) as caught:
            lz.save(content, public.parent / "copy.zarr")
        assert str(secret) in str(caught.value)
    assert not (public.parent / "copy.zarr").exists()
    allowed = lz.open(public / "many.zarr", allow=[secret])
    lz.save(allowed, public.parent / "copy.zarr")
    np.testing.assert_array_equal(lz.open(public.parent / "copy.zarr")[-8:].read(), DATA)


@pytest.mark.parametrize("where", ["/proc/self", "/sys", "/dev"])
def test_the_kernel_is_no_source(public: Path, where: str) -> None:
    lz.save(lz.open(public / "mine.zarr"), public / "view.zarr")
    text = (public / "view.zarr" / "zarr.json").read_text()
    (public / "view.zarr" / "zarr.json").write_text(text.replace("../mine.zarr", f"file://{where}/mine.zarr"))
    with pytest.raises(lz.AccessDenied):
        lz.open(public / "view.zarr")
    with pytest.raises(lz.LazyZarrError):
        lz.open(public / "view.zarr", allow=[f"{where}/"]).read()


@pytest.mark.parametrize(
    "location",
    [
        "http://user:pw@host/a",
        "../%2e%2e/secret/a.zarr",
        "..\\secret",
        "file:///a/../secret",
        "gopher://h/a",
        "//host/a",
    ],
)
def test_odd_locations_are_refused(public: Path, location: str) -> None:
    lz.save(lz.open(public / "mine.zarr"), public / "view.zarr")
    text = (public / "view.zarr" / "zarr.json").read_text()
    (public / "view.zarr" / "zarr.json").write_text(text.replace("../mine.zarr", location.replace("\\", "\\\\")))
    with pytest.raises((lz.ViewError, lz.AccessDenied)):
        lz.open(public / "view.zarr")


def test_the_place_of_a_document_is_not_followed_through_links(secret: Path, public: Path, tmp_path: Path) -> None:
    """Opened through a link, a document is beside what is beside the link."""
    lz.save(lz.open(public / "mine.zarr"), public / "view.zarr")
    os.symlink(public, tmp_path / "link")
    np.testing.assert_array_equal(lz.open(tmp_path / "link" / "view.zarr").read(), DATA)
