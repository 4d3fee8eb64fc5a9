"""Putting a view in place on a local file system, so that a reader sees the old one or the new one, whole.

Owns durable publication. Files are written under temporary names that begin with a dot, synced, renamed, and the
directory is synced; tables come before the document that names them, and are never changed. A lock on the directory
and a generation check keep concurrent savers from losing each other's work; on file systems without such locks only
the check does, and two savers within the same instant may both believe to have won.

What is promised when saving over something:

- a view over a view: the document is replaced in one step. Tables of the document before it are kept until the next
  save, so a view that was opened before can still be read; older ones are swept.
- anything over a group, or a group over anything: the two directories are exchanged in one step where the system can
  (Linux, file systems with ``RENAME_EXCHANGE``); elsewhere there is a moment without either, and a crash in it leaves
  the old one under a name that begins with ``.<name>.lazyzarr-``. Views opened before read on until their files go.

Refuses to replace what lazyzarr did not write, whatever was asked for.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from lazyzarr.document.decode import generation_of
from lazyzarr.document.encode import EncodedView
from lazyzarr.document.exchange import exchange
from lazyzarr.document.ownership import Existing, examine
from lazyzarr.document.plain_array import Content
from lazyzarr.document.tables import FOLDER, group_text
from lazyzarr.errors import LazyZarrError, SaveConflict, SaveError

_os: Any = os
"""All changes of the file system go through this name, so that tests can make each of them fail."""
_DOCUMENT = "zarr.json"
_MARK = ".lazyzarr-"
_TABLE = re.compile(r"t[0-9a-f]{24}")
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_KEPT = "what is there is whole: as it was before, or the new one; free space or check the disk, and save again"
NO_LOCKS = (errno.EBADF, errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EINVAL)
"""Errors by which a file system says that it has no locks."""
_OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST)


def publish(
    target: str | os.PathLike[str],
    view: EncodedView | Mapping[str, Content],
    *,
    overwrite: bool = False,
    expected: str | None = None,
    sweep: bool = True,
) -> None:
    """Put a view, or the files of a group, in place.

    Parameters
    ----------
    target
        Path of the directory that will be the Zarr node.
    view
        A view, or every file of a group by its path below the target.
    overwrite
        Replace what lazyzarr saved there before.
    expected
        Generation of the document that this one was made from; if another one is there now, nothing is saved.
    sweep
        Let go of tables that neither the new document nor the one before it names. A view that grows does not: views
        that were opened long ago can be read on.

    Raises
    ------
    SaveConflict
        The target exists and is not to be replaced, is not ours, or was changed by someone else.
    SaveError
        ``save-failed``: the storage failed; the target is as it was unless the text says otherwise.
    """
    # A link to a view stays a link: what it leads to is replaced.
    path: str = os.path.realpath(target)
    files = view.files() if isinstance(view, EncodedView) else view
    with failures_named(path):
        _os.makedirs(os.path.dirname(path), exist_ok=True)
        while True:
            with _locked(path) as held:
                if not held:
                    _refuse_if_gone(path, expected)
                    done = _create(path, files)
                else:
                    existing = examine(path)
                    _refuse(existing, path, overwrite, expected)
                    if isinstance(view, EncodedView) and existing.kind == "view":
                        _replace_document(path, view, existing, sweep)
                    else:
                        _replace_tree(path, files)
                    done = True
            if done:
                break
        with suppress(OSError):  # what is left over is in nobody's way, and swept by the next save
            _sweep_siblings(path)


def publish_changes(
    target: str | os.PathLike[str],
    changed: Mapping[str, Content],
    *,
    expected: Mapping[str, str],
    gone: Collection[str] = (),
) -> None:
    """Put changed files of a saved group in place, all in one step.

    The new tree has hard links to every file that stays, so this costs the changed files and one link for each other.

    Parameters
    ----------
    target
        Path of the directory of the group.
    changed
        New files and new content of files, by their path below the target.
    expected
        Path below the target of each document that the change was made from, and its generation.
    gone
        Paths of directories below the target that are let go.

    Raises
    ------
    SaveConflict, SaveError
        As `publish`.
    """
    path: str = os.path.realpath(target)
    with failures_named(path), ExitStack() as locks:
        if not locks.enter_context(_locked(path)):
            raise _gone(path)
        for name in sorted({name.rpartition("/")[0] for name in expected} - {""}):
            locks.enter_context(_locked(os.path.join(path, name)))  # against whoever saves this member alone
        existing = examine(path)
        if existing.kind != "group":
            raise SaveConflict(
                f"append: the target is {existing.what}; only whole groups that lazyzarr saved are changed as one; "
                "append to its views one by one",
                where=path,
            )
        for name, generation in expected.items():
            with open(os.path.join(path, name), "rb") as file:
                if generation_of(file.read()) != generation:
                    raise _changed(os.path.join(path, name))
        _replace_tree(path, changed, linked=True, gone=gone)
        with suppress(OSError):
            _sweep_siblings(path)


@contextmanager
def failures_named(where: str, *, what: str = "save", then: str = _KEPT) -> Generator[None]:
    """Errors of the storage as errors of a save, or of something like it.

    Parameters
    ----------
    what
        What was asked for.
    then
        What is true of the target now, and what to do.

    Raises
    ------
    SaveError
        ``save-failed``: the storage failed.
    """
    try:
        yield
    except LazyZarrError:
        raise
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise SaveError(f"{what}: the storage failed ({reason}); {then}", where=where) from error


def _refuse_if_gone(path: str, expected: str | None) -> None:
    if expected is not None:
        raise _gone(path)


def _gone(path: str) -> SaveConflict:
    return SaveConflict(
        "save: the view that this one was made from is not there any more; someone moved or removed it; "
        "save under a new name",
        where=path,
    )


def _changed(path: str) -> SaveConflict:
    return SaveConflict(
        "save: the view was changed by someone else since it was opened; saving would lose that change; "
        "open it again and repeat yours",
        where=path,
    )


def _refuse(existing: Existing, path: str, overwrite: bool, expected: str | None) -> None:
    if existing.kind == "empty":
        _refuse_if_gone(path, expected)
        return
    if not overwrite and expected is None:
        raise SaveConflict(
            f"save: the target exists ({existing.what}); nothing is replaced unasked; "
            "choose another name or pass overwrite=True",
            where=path,
        )
    if existing.kind == "foreign":
        raise SaveConflict(
            f"save: the target is {existing.what}, which lazyzarr did not write; only views and groups that lazyzarr "
            "saved are replaced; remove it yourself or choose another name",
            where=path,
        )
    if expected is not None and generation_of(existing.text) != expected:
        raise _changed(path)


def _create(path: str, files: Mapping[str, Content]) -> bool:
    """Make a new node; False when someone else made one meanwhile."""
    with _built(path, files) as temporary:
        try:
            _os.rename(temporary, path)
        except OSError as error:
            if error.errno in _OCCUPIED:
                return False
            raise
        _sync_directory(os.path.dirname(path))
    return True


def _replace_tree(path: str, files: Mapping[str, Content], *, linked: bool = False, gone: Collection[str] = ()) -> None:
    with _built(path, files, linked=linked, gone=gone) as temporary:
        if not exchange(temporary, path):
            aside = _temporary(path)
            _os.rename(path, aside)
            try:
                _os.rename(temporary, path)
            except OSError:
                _os.rename(aside, path)
                raise
            _remove(aside)
        _sync_directory(os.path.dirname(path))


def _replace_document(path: str, view: EncodedView, existing: Existing, sweep: bool) -> None:
    """Write the tables that are new, then the document, then let go of what nobody names."""
    folder = os.path.join(path, FOLDER)
    fresh = [table for table in view.tables if not os.path.isdir(os.path.join(folder, table.folder))]
    if fresh and not os.path.exists(os.path.join(folder, _DOCUMENT)):
        _os.makedirs(folder, exist_ok=True)
        _write_over(os.path.join(folder, _DOCUMENT), group_text())
    for table in fresh:
        temporary = os.path.join(folder, f"{_MARK}{secrets.token_hex(8)}")
        try:
            _write_tree(temporary, dict(table.files))
            _os.rename(temporary, os.path.join(folder, table.folder))
        except BaseException:
            _remove(temporary)
            raise
    if fresh:
        _sync_directory(folder)
        _sync_directory(path)
    _write_over(os.path.join(path, _DOCUMENT), view.document)
    with suppress(OSError):  # the view is saved; what is left over is swept by the next save
        _sweep(path, {table.folder for table in view.tables} | existing.tables if sweep else None)


@contextmanager
def _built(
    path: str, files: Mapping[str, Content], *, linked: bool = False, gone: Collection[str] = ()
) -> Generator[str]:
    """A directory beside the target with all files in it, synced; removed unless it was renamed.

    ``linked``: and with links to all other files of the target but those in directories that are ``gone``.
    """
    temporary, lock = _made(path)
    try:
        if linked:
            _link_tree(path, temporary, files, gone)
        _write_tree(temporary, files)
        yield temporary
    finally:
        _os.close(lock)
        _remove(temporary)


def _made(path: str) -> tuple[str, int]:
    """A new directory beside the target, and its lock: one whose lock can be had was left by a dead process."""
    while True:
        temporary = _temporary(path)
        _os.mkdir(temporary)
        try:
            lock = _os.open(temporary, _READ)
        except FileNotFoundError:
            continue  # another saver took it for a left one before it was locked
        try:
            _lock(lock)
            if os.path.exists(temporary):
                return temporary, lock
        except BaseException:
            _os.close(lock)
            raise
        _os.close(lock)


def _link_tree(path: str, temporary: str, without: Mapping[str, Content], gone: Collection[str]) -> None:
    for directory, folders, names in os.walk(path):
        below = os.path.relpath(directory, path)
        kept = {name for name in folders if os.path.normpath(os.path.join(below, name)) not in gone}
        folders[:] = [name for name in folders if name in kept and not name.startswith(_MARK)]
        made = os.path.normpath(os.path.join(temporary, below))
        _os.makedirs(made, exist_ok=True)
        for name in names:
            if os.path.normpath(os.path.join(below, name)) not in without and not name.startswith(_MARK):
                _os.link(os.path.join(directory, name), os.path.join(made, name), follow_symlinks=False)
        _sync_directory(made)


def _write_tree(root: str, files: Mapping[str, Content]) -> None:
    """Write and sync files and all directories between them and the root."""
    directories = {root}
    for name in files:
        parts = name.split("/")[:-1]
        directories.update(os.path.join(root, *parts[: k + 1]) for k in range(len(parts)))
    for directory in sorted(directories):
        _os.makedirs(directory, exist_ok=True)
    for name, content in files.items():
        _write(os.path.join(root, *name.split("/")), content)
    for directory in sorted(directories, reverse=True):
        _sync_directory(directory)


def _write_over(path: str, content: Content) -> None:
    """Replace a file in one step."""
    temporary = os.path.join(os.path.dirname(path), f"{_MARK}{secrets.token_hex(8)}")
    try:
        _write(temporary, content)
        _os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):  # it was never made, or has its new name
            os.unlink(temporary)
        raise
    _sync_directory(os.path.dirname(path))


def _write(path: str, content: Content) -> None:
    data = memoryview(content if isinstance(content, bytes) else content())
    descriptor = _os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        while data:
            data = data[_os.write(descriptor, data) :]
        _os.fsync(descriptor)
    finally:
        _os.close(descriptor)


def _sync_directory(path: str) -> None:
    descriptor = _os.open(path, _READ)
    try:
        _os.fsync(descriptor)
    finally:
        _os.close(descriptor)


@contextmanager
def _locked(path: str) -> Generator[bool]:
    """Hold the lock of the directory at a path against other savers; False when there is nothing."""
    while True:
        try:
            descriptor = _os.open(path, _READ)
        except FileNotFoundError:
            yield False
            return
        try:
            _lock(descriptor)
            # While waiting, the directory may have been exchanged for another one.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                    yield True
                    return
        finally:
            _os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Lock a directory, where the file system can (some network file systems cannot)."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise


def _sweep(path: str, keep: set[str] | None) -> None:
    """Remove what killed savers left, and tables that are not to be kept; None: all are."""
    for name in _listed(path):
        if name.startswith(_MARK):
            _remove(os.path.join(path, name))
    folder = os.path.join(path, FOLDER)
    names = _listed(folder)
    for name in names:
        if name.startswith(_MARK) or (keep is not None and _TABLE.fullmatch(name) and name not in keep):
            _remove(os.path.join(folder, name))
    if names and keep is not None and not keep.intersection(names) and set(_listed(folder)) == {_DOCUMENT}:
        _remove(folder)


def _sweep_siblings(path: str) -> None:
    """Remove what a saver of this target that was killed has left beside it."""
    parent, name = os.path.split(path)
    for sibling in _listed(parent):
        if not sibling.startswith(f".{name}{_MARK}"):
            continue
        left = os.path.join(parent, sibling)
        descriptor = os.open(left, _READ)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(left)
        except OSError:
            continue  # its saver is alive, or nobody can know
        finally:
            os.close(descriptor)


def _temporary(path: str) -> str:
    parent, name = os.path.split(path)
    return os.path.join(parent, f".{name}{_MARK}{secrets.token_hex(8)}")


def _listed(path: str) -> Sequence[str]:
    return sorted(os.listdir(path)) if os.path.isdir(path) else ()


def _remove(path: str) -> None:
    """Remove a tree as far as that goes: it has a temporary name, so nobody is misled by what stays."""
    if os.path.islink(path) or os.path.isfile(path):
        with suppress(OSError):
            _os.unlink(path)
        return
    for directory, folders, names in os.walk(path, topdown=False):
        for name in (*names, *folders):
            place = os.path.join(directory, name)
            with suppress(OSError):
                _os.rmdir(place) if name in folders and not os.path.islink(place) else _os.unlink(place)
    with suppress(OSError):
        _os.rmdir(path)
