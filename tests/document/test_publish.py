"""Publication: whole or not at all, whatever fails, whoever else saves, wherever the process is killed."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from lazyzarr.access.session import Session
from lazyzarr.document import publish as publishing
from lazyzarr.document.decode import OpenedView, decode, generation_of
from lazyzarr.document.encode import EncodedView, encode
from lazyzarr.document.exchange import exchange
from lazyzarr.document.groups import ArrayMember, GroupMember, ViewMember, encode_group
from lazyzarr.document.publish import publish
from lazyzarr.errors import SaveConflict, SaveError
from lazyzarr.ir.graph import Graph, GraphBuilder
from lazyzarr.ir.nodes import Fill, Take
from lazyzarr.ir.tables import Table
from tests.strategies.profile import often

CHANGES = ("open", "write", "fsync", "close", "replace", "rename", "mkdir", "makedirs", "unlink", "rmdir")


def view(target: Path, number: int, rows: int = 300) -> EncodedView:
    """A view with a table of its own."""
    build = GraphBuilder()
    table = build.table(Table({"indices": np.full(rows, number, np.int64)}))
    graph = build.build(build.node(Take(build.node(Fill((number + 1,), "int32", number)), 0, table)))
    return encode(graph, base_url=f"file://{target}", attributes={"number": number})


def opened(target: Path) -> OpenedView:
    return decode((target / "zarr.json").read_bytes(), url=f"file://{target}", session=Session())


def number_of(target: Path) -> int:
    """The number of the view at a place, which is checked to be whole."""
    found = opened(target)
    number = found.attributes["number"]
    root = found.graph.root
    assert isinstance(root, Take)
    assert np.unique(np.asarray(found.graph.tables[root.indices]["indices"])).tolist() == [number]
    return number


class Failing:
    """The functions of ``os``, of which the one called at a given count fails, and perhaps all after it."""

    def __init__(self, at: int, error: int, *, lasting: bool) -> None:
        self.at, self.error, self.lasting, self.count = at, error, lasting, 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in CHANGES:
            return real

        def call(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if name == "close":
                real(*args, **kwargs)
            if self.count == self.at or (self.lasting and self.count > self.at):
                raise OSError(self.error, os.strerror(self.error))
            return None if name == "close" else real(*args, **kwargs)

        return call


@pytest.fixture(autouse=True)
def quick_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fsync does cannot be seen without pulling the plug; that it is called is counted."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from-then-on"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("before", ["nothing", "view", "group"])
def test_any_failing_step_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, error: int, lasting: bool
) -> None:
    steps = 0
    for at in range(1, 200):
        target = tmp_path / f"{at}" / "v.zarr"
        if before == "view":
            publish(target, view(target, 1))
        elif before == "group":
            publish(target, encode_group(GroupMember({}), base_url=f"file://{target}"))
        failing = Failing(at, error, lasting=lasting)
        monkeypatch.setattr(publishing, "_os", failing)
        reason = reason_of(target, view(target, 2))
        monkeypatch.setattr(publishing, "_os", os)
        done = reason is None
        assert reason in (None, "save-failed")
        if before == "view":
            assert number_of(target) in ((2,) if done else (1, 2))
        elif done or (before == "nothing" and target.exists()):
            assert number_of(target) == 2
        elif before == "group" and number_or_group(target) == 0:
            assert msgspec.json.decode((target / "zarr.json").read_bytes())["consolidated_metadata"]
        publish(target, view(target, 3), overwrite=True)
        assert number_of(target) == 3
        assert not [name for name in os.listdir(target.parent) if name != "v.zarr"]
        assert not [name for name in os.listdir(target) if name.startswith(".")]
        steps += 1
        if failing.count < at:
            break
    assert failing.count < at
    assert steps > 15


def reason_of(target: Path, what: EncodedView) -> str | None:
    """Why it could not be saved."""
    try:
        publish(target, what, overwrite=True)
    except SaveError as error:
        return error.reason
    return None


def number_or_group(target: Path) -> int:
    attributes = msgspec.json.decode((target / "zarr.json").read_bytes())["attributes"]
    return number_of(target) if "lazyzarr" in attributes else 0


@pytest.mark.parametrize("before", ["nothing", "view"])
def test_everything_is_synced_before_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    target = tmp_path / "v.zarr"
    if before == "view":
        publish(target, view(target, 1))
    log: list[tuple[str, str]] = []

    class Logging:
        def __getattr__(self, name: str) -> Any:
            def call(*args: Any, **kwargs: Any) -> Any:
                place = os.readlink(f"/proc/self/fd/{args[0]}") if name in ("fsync", "write") else str(args[-1])
                log.append((name, place))
                return getattr(os, name)(*args, **kwargs)

            return call

    monkeypatch.setattr(publishing, "_os", Logging())
    publish(target, view(target, 2), overwrite=True)
    for position, (name, place) in enumerate(log):
        if name == "write":
            after = [entry for entry in log[position:] if entry[0] in ("fsync", "rename", "replace")]
            assert after[0] == ("fsync", place)
        if name in ("rename", "replace"):
            assert ("fsync", os.path.dirname(place)) in log[position:]


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    target = tmp_path / "v.zarr"
    publish(target, view(target, 1))
    with pytest.raises(SaveConflict) as error:
        publish(target, view(target, 2))
    assert error.value.reason == "save-conflict"
    assert number_of(target) == 1
    publish(target, view(target, 2), overwrite=True)
    assert number_of(target) == 2


@pytest.mark.parametrize("kind", ["array", "group", "file", "directory", "v2", "broken", "grown"])
def test_what_lazyzarr_did_not_write_is_never_replaced(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "v.zarr"
    if kind == "file":
        target.write_bytes(b"x")
    elif kind == "grown":
        publish(target, encode_group(GroupMember({}), base_url=f"file://{target}"))
        (target / "mine").mkdir()
    else:
        target.mkdir()
        name, text = {
            "array": ("zarr.json", b'{"zarr_format":3,"node_type":"array","attributes":{}}'),
            "group": ("zarr.json", b'{"zarr_format":3,"node_type":"group","attributes":{}}'),
            "directory": ("notes.txt", b"x"),
            "v2": (".zgroup", b'{"zarr_format":2}'),
            "broken": ("zarr.json", b"{"),
        }[kind]
        (target / name).write_bytes(text)
        (target / "data").mkdir()
        (target / "data" / "0").write_bytes(b"precious")
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    for what in (view(target, 1), encode_group(GroupMember({}), base_url=f"file://{target}")):
        with pytest.raises(SaveConflict):
            publish(target, what, overwrite=True)
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_a_view_that_was_opened_before_can_be_read_after_one_save(tmp_path: Path) -> None:
    target = tmp_path / "v.zarr"
    publish(target, view(target, 1))
    old = opened(target)
    publish(target, view(target, 2), overwrite=True)
    root = old.graph.root
    assert isinstance(root, Take)
    assert np.asarray(old.graph.tables[root.indices]["indices"])[0] == 1
    assert len(tables_of(target)) == 2
    publish(target, view(target, 3), overwrite=True)
    assert len(tables_of(target)) == 2
    small = encode(Graph([Fill((2,), "int8", 0)]), base_url=f"file://{target}")
    for _ in range(2):
        publish(target, small, overwrite=True)
    assert os.listdir(target) == ["zarr.json"]


def tables_of(target: Path) -> list[str]:
    return [name for name in os.listdir(target / "tables") if name != "zarr.json"]


def test_a_table_that_is_there_already_is_not_written_again(tmp_path: Path) -> None:
    target = tmp_path / "v.zarr"
    publish(target, view(target, 1))
    (folder,) = (target / "tables").glob("t*")
    before = folder.stat().st_ino
    publish(target, view(target, 1), overwrite=True)
    assert folder.stat().st_ino == before


def test_a_change_by_someone_else_is_noticed(tmp_path: Path) -> None:
    target = tmp_path / "v.zarr"
    publish(target, view(target, 1))
    mine = opened(target).generation
    assert mine == generation_of((target / "zarr.json").read_bytes())
    publish(target, view(target, 2), expected=mine)
    with pytest.raises(SaveConflict):
        publish(target, view(target, 3), expected=mine)
    assert number_of(target) == 2
    with pytest.raises(SaveConflict):
        publish(tmp_path / "gone.zarr", view(target, 3), expected=mine)


def update(target: Path) -> None:
    """Add one to the number of the view at a place, whoever else does so."""
    while True:
        text = (target / "zarr.json").read_bytes()
        number = decode(text, url=f"file://{target}", session=Session()).attributes["number"]
        try:
            publish(target, view(target, number + 1, rows=10), expected=generation_of(text))
            return
        except SaveConflict:
            continue


def test_no_update_of_several_savers_is_lost(tmp_path: Path) -> None:
    target = tmp_path / "v.zarr"
    publish(target, view(target, 0, rows=10))
    savers, updates = often(4, 8), often(15, 100)

    def save() -> None:
        for _ in range(updates):
            update(target)

    threads = [threading.Thread(target=save) for _ in range(savers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened(target).attributes["number"] == savers * updates


UPDATER = """
import sys
from pathlib import Path
from tests.document.test_publish import update
for _ in range(int(sys.argv[2])):
    update(Path(sys.argv[1]))
"""


def test_no_update_of_several_processes_is_lost(tmp_path: Path) -> None:
    target = tmp_path / "v.zarr"
    publish(target, view(target, 0, rows=10))
    savers, updates = often(3, 8), often(5, 100)
    command = [sys.executable, "-c", UPDATER, str(target), str(updates)]
    running = [subprocess.Popen(command, cwd=Path(__file__).parents[2]) for _ in range(savers)]
    assert [process.wait() for process in running] == [0] * savers
    assert opened(target).attributes["number"] == savers * updates
    assert os.listdir(tmp_path) == ["v.zarr"]


def test_of_two_who_save_first_one_wins(tmp_path: Path) -> None:
    target = tmp_path / "v.zarr"
    outcomes: list[str] = []
    barrier = threading.Barrier(4)

    def save(number: int) -> None:
        barrier.wait()
        try:
            publish(target, view(target, number))
            outcomes.append("saved")
        except SaveConflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=save, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict", "conflict", "conflict", "saved"]
    assert os.listdir(tmp_path) == ["v.zarr"]


SAVER = """
import os, sys
from pathlib import Path
from tests.document.test_publish import publish, view
target = Path(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    number = int(line)
    child = os.fork()
    if child:
        print(child, flush=True)
        os.waitpid(child, 0)
        print("gone", flush=True)
        continue
    while True:
        number += 1
        publish(target, view(target, number), overwrite=True)
"""


def test_kill_at_any_moment_leaves_a_whole_view(tmp_path: Path) -> None:
    target = tmp_path / "v.zarr"
    publish(target, view(target, 0))
    random = np.random.default_rng(0)
    number = 0
    saver = subprocess.Popen(
        [sys.executable, "-c", SAVER, str(target)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    with saver:
        assert saver.stdin is not None
        assert saver.stdout is not None
        assert saver.stdout.readline() == "ready\n"
        for _ in range(often(20, 1_000)):
            print(number, file=saver.stdin, flush=True)
            child = int(saver.stdout.readline())
            time.sleep(random.uniform(0.0, 0.05))
            os.kill(child, signal.SIGKILL)
            assert saver.stdout.readline() == "gone\n"
            found = number_of(target)
            assert found >= number
            number = found
    assert number > 0
    publish(target, view(target, number + 1), overwrite=True)
    assert os.listdir(tmp_path) == ["v.zarr"]
    assert len(tables_of(target)) <= 2
    assert not [name for name in os.listdir(target / "tables") if name.startswith(".")]


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_group_over_a_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool) -> None:
    target = tmp_path / "g.zarr"
    if not exchanges:
        monkeypatch.setattr(publishing, "exchange", lambda left, right: False)
    for number in (1, 2):
        group = GroupMember({"a": ArrayMember(np.full(3, number)), "v": ViewMember(Graph([Fill((2,), "int8", 0)]))})
        publish(target, encode_group(group, base_url=f"file://{target}"), overwrite=number > 1)
        assert (target / "a" / "c" / "0").exists()
        assert os.listdir(tmp_path) == ["g.zarr"]
    publish(target, view(target, 1), overwrite=True)
    assert number_of(target) == 1


def test_links_stay_and_what_they_lead_to_outside_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "g.zarr", tmp_path / "link.zarr"
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"x")
    group = GroupMember({"a": ArrayMember(np.arange(3))})
    publish(real, encode_group(group, base_url=f"file://{real}"))
    link.symlink_to(real)
    (real / "a" / "c" / "beside").symlink_to(outside)
    publish(link, encode_group(group, base_url=f"file://{real}"), overwrite=True)
    assert link.is_symlink()
    assert (outside / "precious").exists()
    assert os.listdir(real.parent) == ["g.zarr"]
    publish(link, view(real, 1), overwrite=True)
    assert number_of(real) == 1


def test_an_empty_directory_is_nobodys(tmp_path: Path) -> None:
    target = tmp_path / "v.zarr"
    target.mkdir()
    publish(target, view(target, 1))
    assert number_of(target) == 1


def test_directories_are_exchanged_in_one_step_where_linux_can(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if exchange(str(tmp_path / "a"), str(tmp_path / "b")):
        assert os.listdir(tmp_path / "a") == ["b"]
        with pytest.raises(FileNotFoundError):
            exchange(str(tmp_path / "a"), str(tmp_path / "missing"))


def test_a_disk_that_is_full_is_a_save_error_and_the_old_view_stays(tmp_path: Path) -> None:
    target = tmp_path / "v.zarr"
    publish(target, view(target, 1))
    new = view(target, 2)
    # The limit on the size of a file is what a process can fill without being root.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        with pytest.raises(SaveError):
            publish(target, new, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert number_of(target) == 1
    publish(target, new, overwrite=True)
    assert number_of(target) == 2
