"""A document reaches what its reader granted, on segment borders, and nothing else."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from lazyzarr.access.policy import Grant, configured, grant_for
from lazyzarr.errors import AccessDenied, ViewSchemaError


@pytest.mark.parametrize(
    "place",
    [
        "s3://bucket/ab",
        "s3://bucket/ab/c",
        "s3://bucket/",
        "s3://bucket2/a",
        "gs://bucket/a",
        "https://bucket/a",
        "file:///bucket/a",
    ],
)
def test_prefixes_end_on_segments(place: str) -> None:
    with pytest.raises(AccessDenied) as error:
        Grant.of(["s3://bucket/a"]).check(place)
    assert error.value.reason == "access-denied"
    assert error.value.where == place


def test_scheme_host_and_port_all_count() -> None:
    grant = Grant.of(["https://host:8443/data"])
    grant.check("https://HOST:8443/data/x")
    for place in ("https://host/data/x", "http://host:8443/data/x", "https://host2:8443/data/x"):
        with pytest.raises(AccessDenied):
            grant.check(place)


def test_check_reads_the_location_in_its_one_spelling() -> None:
    grant = Grant.of(["https://host/a"])
    grant.check("HTTPS://host:443/%61/b")
    with pytest.raises(ViewSchemaError):
        grant.check("https://host/a/../b")
    with pytest.raises(ViewSchemaError):
        grant.check("https://host/a/%2e%2e/b")


def test_the_line_in_the_message_is_the_remedy() -> None:
    grant = grant_for("s3://bucket/views/a", environ={})
    with pytest.raises(AccessDenied) as error:
        grant.check("https://other/x/y.nc")
    line = 'allow=["https://other/x/y.nc"]'
    assert line in str(error.value)
    allow: list[str] = eval(line.removeprefix("allow="))
    grant_for("s3://bucket/views/a", allow, environ={}).check("https://other/x/y.nc")


def test_default_is_the_directory_of_the_document() -> None:
    grant = grant_for("file:///data/views/a.zarr", environ={})
    assert grant == Grant.below("file:///data/views/")
    grant.check("file:///data/views/b/c")
    for place in ("file:///data/other", "file:///data/views2/x", "s3://bucket/data/views/x"):
        with pytest.raises(AccessDenied):
            grant.check(place)


def test_the_query_of_a_document_grants_nothing() -> None:
    assert grant_for("https://host/d/view?sig=1", environ={}).prefixes == ("https://host/d/",)
    with pytest.raises(ViewSchemaError):
        Grant.of(["https://host/a?sig=1"])


def test_paths_in_allow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Grant.of(["data", tmp_path / "more"]).prefixes == (f"file://{tmp_path}/data/", f"file://{tmp_path}/more/")


def test_variable_and_file(tmp_path: Path) -> None:
    (tmp_path / "lazyzarr").mkdir()
    file = tmp_path / "lazyzarr" / "lazyzarr.toml"
    file.write_text('allow = ["s3://archive/"]\n')
    environ = {"LAZYZARR_ALLOW": " s3://a/b , , /data", "XDG_CONFIG_HOME": str(tmp_path)}
    assert configured(environ) == ("s3://a/b", "/data", "s3://archive/")
    grant = grant_for("memory:///d/v", ["gs://c"], environ=environ)
    assert grant.prefixes == ("file:///data/", "gs://c/", "memory:///d/", "s3://a/b/", "s3://archive/")
    home = {"HOME": str(tmp_path)}
    assert configured(home) == ()
    (tmp_path / ".config").mkdir()
    file.parent.rename(tmp_path / ".config" / "lazyzarr")
    assert configured(home) == ("s3://archive/",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("allow = [", "document-syntax"),
        ("\xff", "document-syntax"),
        ('alow = ["s3://a"]', "document-member"),
        ('allow = "s3://a"', "document-member"),
        ("allow = [1]", "document-member"),
    ],
)
def test_a_wrong_file_is_an_error(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "lazyzarr").mkdir()
    file = tmp_path / "lazyzarr" / "lazyzarr.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ViewSchemaError) as error:
        configured({"XDG_CONFIG_HOME": str(tmp_path)})
    assert (error.value.reason, error.value.where) == (reason, str(file))


def test_intersection_of_nested_documents() -> None:
    outer = Grant.of(["s3://a/b", "s3://c", "file:///d"])
    inner = Grant.of(["s3://a", "s3://c/e", "gs://x"])
    both = outer & inner
    assert both.prefixes == ("s3://a/b/", "s3://c/e/")
    assert both == inner & outer
    assert (outer & Grant()).prefixes == ()
    with pytest.raises(AccessDenied):
        Grant().check("s3://a/b")


def test_grants_are_values() -> None:
    first, second = Grant.of(["s3://a/b", "s3://a"]), Grant.of(["s3://a/"])
    assert first == second
    assert hash(first) == hash(second)
    assert first.name == second.name != Grant.of(["s3://b"]).name
    assert pickle.loads(pickle.dumps(first)) == first
    assert (first | Grant.of(["s3://b"])).prefixes == ("s3://a/", "s3://b/")
