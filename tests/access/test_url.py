"""Locations have one spelling, and nothing that can be read in two ways is accepted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lazyzarr.access import url
from lazyzarr.errors import ViewLimitError, ViewSchemaError

REFUSED = [
    "",
    "relative/path",
    "/absolute/path",
    "http:/host/a",
    "http://",
    "http:///a",
    "http://user@host/a",
    "http://user:secret@host/a",
    "http://host\\@evil/a",
    "http://host/a\\b",
    "http://host/a%5Cb",
    "http://host/a%2Fb",
    "http://host/a%2fb",
    "http://host/a%00b",
    "http://host/a%0Ab",
    "http://host/a%7f",
    "http://host/a\nb",
    "http://host/a\tb",
    "http://host/a b",
    "http://host/é",
    "http://hést/a",
    "http://host/a#b",
    "http://host/a#",
    "http://host/a?b=1",
    "http://host/a?",
    "s3://bucket/a?versionId=1",
    "http://host/./a",
    "http://host/a/..",
    "http://host/../a",
    "http://host/%2e%2E/a",
    "http://host/.%2e/a",
    "http://host/a//b",
    "http://host//a",
    "http://host/a%",
    "http://host/a%zz",
    "http://host/a[b]",
    "http://host/<a>",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://127.0.0.256/",
    "http://1.2.3.4.5/",
    "http://host.0x1/",
    "http://host./a",
    "http://.host/a",
    "http://-host/a",
    "http://host:/a",
    "http://host:0/a",
    "http://host:65536/a",
    "http://host:080/a",
    "http://host:8o/a",
    "http://[::1/a",
    "http://[::1]x/a",
    "http://[fe80::1%25eth0]/a",
    "http://[1.2.3.4]/a",
    "file://host/a",
    "file://localhost/a",
    "file:///a/../b",
    "s3:///key",
    "s3://buck et/key",
    "s3://bucket:80/key",
    "store:///key",
    "simplecache::s3://bucket/key",
    f"http://{'a' * 300}/",
]


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    with pytest.raises(ViewSchemaError) as error:
        url.parse(text)
    assert error.value.reason == "url-invalid"
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("HTTP://Host:80/a", "http://host/a"),
        ("https://host:443", "https://host/"),
        ("https://host:80/", "https://host:80/"),
        ("http://127.0.0.1:8080/a", "http://127.0.0.1:8080/a"),
        ("http://[0:0::1]:80/a", "http://[::1]/a"),
        ("http://host/%7ea%41%c3%a9", "http://host/~aA%C3%A9"),
        ("S3://Bucket.With.Dots/a/b/", "s3://Bucket.With.Dots/a/b/"),
        ("gcs://bucket/a", "gs://bucket/a"),
        ("file:///a%20b", "file:///a%20b"),
        ("memory://a/b", "memory:///a/b"),
        ("memory://a", "memory:///a"),
        ("store://0a1b/c/0", "store://0a1b/c/0"),
        ("ftp://host:2121/a", "ftp://host:2121/a"),
    ],
)
def test_one_spelling(text: str, spelled: str) -> None:
    assert url.parse(text).url == spelled
    assert url.parse(spelled).url == spelled


def test_query_only_where_the_text_is_the_callers_own_and_http() -> None:
    assert url.parse("https://host/a?X-Sig=1%2F2", trusted=True).url == "https://host/a?X-Sig=1%2F2"
    for text in ("s3://bucket/a?b", "file:///a?b"):
        with pytest.raises(ViewSchemaError):
            url.parse(text, trusted=True)
    assert url.shown("https://host/a?X-Sig=1") == "https://host/a"


def test_length_is_limited_for_documents_only() -> None:
    text = "s3://bucket/" + "a" * url.MAX_CHARACTERS
    with pytest.raises(ViewLimitError) as error:
        url.parse(text)
    assert error.value.limit == url.MAX_CHARACTERS
    assert url.parse(text, trusted=True).url == text


@pytest.mark.parametrize(
    ("given_by_user", "spelled"),
    [
        ("/data/sea ice/é.nc", "file:///data/sea%20ice/%C3%A9.nc"),
        ("/data//a/../b/", "file:///data/b"),
        ("//data/a", "file:///data/a"),
        ("/a#b?c%d:e", "file:///a%23b%3Fc%25d:e"),
        ("s3://bucket/a b/é/", "s3://bucket/a%20b/%C3%A9"),
        ("s3://bucket", "s3://bucket/"),
        ("https://host/a%20b?q=é", "https://host/a%20b?q=%C3%A9"),
    ],
)
def test_from_user(given_by_user: str, spelled: str) -> None:
    assert url.from_user(given_by_user) == spelled


def test_from_user_relative_paths_and_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert url.to_path(url.from_user("a/b.nc")) == str(tmp_path / "a/b.nc")
    assert url.to_path(url.from_user("~")) == str(tmp_path / "~")
    assert url.from_user(Path("a")) == url.from_user("a")


@pytest.mark.parametrize("text", ["", "a\\b", "a\nb", "http://h/a#b", "http://u:p@h/", "s3://b/a?x=1", "s3://b/../a"])
def test_from_user_refuses(text: str) -> None:
    with pytest.raises(ViewSchemaError) as error:
        url.from_user(text)
    assert error.value.reason == "url-invalid"


def test_names_that_are_not_text_survive(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe")
    assert url.to_path(url.from_user(path)) == path


def test_to_path_is_for_files() -> None:
    assert url.plain_path("file:///a/b") == "/a/b"
    assert url.plain_path("file:///a%20b") is None
    assert url.to_path("file:///a%20b") == "/a b"
    for text in ("s3://b/a", "file:///a/../b", "file:///a/./b", "file:///a//b"):
        with pytest.raises(ViewSchemaError):
            url.to_path(text)


@pytest.mark.parametrize(
    ("base", "reference", "joined"),
    [
        ("s3://b/d/view", "x", "s3://b/d/x"),
        ("s3://b/d/view/", "x/y", "s3://b/d/view/x/y"),
        ("s3://b/d/view", "../x", "s3://b/x"),
        ("s3://b/d/view", "..", "s3://b/"),
        ("s3://b/d/view", "./a:b", "s3://b/d/a:b"),
        ("s3://b/d/view", "/x", "s3://b/x"),
        ("s3://b/d/view", "https://h/x", "https://h/x"),
        ("https://h/d/view?sig=1", "x", "https://h/d/x"),
    ],
)
def test_join(base: str, reference: str, joined: str) -> None:
    assert url.join(base, reference) == joined


@pytest.mark.parametrize(
    "reference",
    [
        "",
        "../../x",
        "x/../y",
        "x/./y",
        "//evil/x",
        "x//y",
        "%2e%2e/x",
        "x?y",
        "x#y",
        "a b",
        "../%2e./x",
        "x\\y",
        "./../x/..",
    ],
)
def test_join_refuses(reference: str) -> None:
    with pytest.raises(ViewSchemaError) as error:
        url.join("s3://b/d/view", reference)
    assert error.value.reason == "url-invalid"


def test_relative_never_stores_a_query() -> None:
    with pytest.raises(ViewSchemaError):
        url.relative("https://h/view", "https://h/a?sig=1")


NAMES = st.text(min_size=1, max_size=8).filter(
    lambda text: not {"/", "\\"} & set(text) and text not in (".", "..") and text.isprintable() and not text.isspace()
)
PATHS = st.lists(NAMES, min_size=0, max_size=5)


@given(PATHS, PATHS, st.booleans())
def test_join_undoes_relative(base: list[str], target: list[str], slash: bool) -> None:
    start = url.from_user("s3://bucket/")
    for name in base:
        start = url.child(start, name)
    end = url.from_user("s3://bucket/")
    for name in target:
        end = url.child(end, name)
    if slash:
        start = url.as_prefix(start)
        end = url.as_prefix(end)
    reference = url.relative(start, end)
    assert not reference.startswith(("s3:", "/"))
    assert url.join(start, reference) == end


@given(PATHS)
def test_children_decode_to_their_key(names: list[str]) -> None:
    if names:
        location = url.child("s3://bucket/root", "/".join(names))
        assert url.key_of(location) == "/".join(["root", *names])
        assert url.parse(location, trusted=True).url == location


@given(st.text(max_size=40))
def test_no_text_leads_to_another_exception(text: str) -> None:
    for make in (url.parse, lambda part: url.parse("http://host/" + part), lambda part: url.join("s3://b/d/v", part)):
        try:
            spelled = make(text)
        except (ViewSchemaError, ViewLimitError):
            continue
        location = spelled if isinstance(spelled, str) else spelled.url
        assert url.parse(location).url == location
        assert "/../" not in location


def test_child_and_parent() -> None:
    assert url.child("file:///a", "c/0/0") == "file:///a/c/0/0"
    assert url.child("file:///a/", "%") == "file:///a/%25"
    assert url.parent("s3://bucket/a") == "s3://bucket/"
    assert url.parent("https://h/a/b?sig=1") == "https://h/a/"
    for key in ("", "..", "a/../b", "a//b", "/a", "a\\b"):
        with pytest.raises(ViewSchemaError):
            url.child("s3://bucket/a", key)
    with pytest.raises(ViewSchemaError):
        url.child("https://h/a?sig=1", "c/0")


@given(st.lists(st.text("ab.-/:%\nfile", max_size=12).map("file:///".__add__) | st.text(max_size=9), max_size=4))
def test_many_plain_paths_are_each_ones(urls: list[str]) -> None:
    """A line break in a location does not make two of it."""
    found = url.plain_paths(urls)
    assert found is None or found == [url.plain_path(one) for one in urls]
    if all(one.startswith("file:///") and one[8:].isalnum() and one.isascii() for one in urls):
        assert found is not None


def test_a_line_break_is_not_two_paths() -> None:
    assert url.plain_paths(["file:///a\nfile:///b"]) is None
    assert url.plain_paths(["file:///a\n"]) is None
    assert url.plain_paths([]) == []
