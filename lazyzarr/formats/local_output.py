"""Writing a file or a folder on a local disk so that it is there whole or not at all.

Owns the order: everything under a temporary name beginning with a dot, made durable, then renamed, then the directory
made durable. Refuses to write over a folder, which cannot be replaced in one step.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from lazyzarr.access.url import from_user, shown, to_path
from lazyzarr.errors import SaveConflict, SaveError, SaveUnsupported


def local_target(target: str | os.PathLike[str]) -> tuple[Path, str]:
    """Path and location of what a user wants to have written.

    Raises
    ------
    SaveUnsupported
        The target is not on a local disk.
    """
    url = from_user(target)
    if not url.startswith("file://"):
        raise SaveUnsupported(
            f"write to {shown(url)}; references are written to local files; write one, and copy it there"
        )
    return Path(to_path(url)), url


def write_file(path: Path, content: bytes, *, overwrite: bool) -> None:
    """Put content into a file, at once.

    Raises
    ------
    SaveConflict
        The file exists and is not to be replaced.
    SaveError
        The storage failed; the target is as it was.
    """
    _check(path, overwrite=overwrite and not path.is_dir())
    name = ""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
        os.chmod(name, 0o644)
        if overwrite:
            os.replace(name, path)
        else:
            os.link(name, path)
            os.unlink(name)
        _sync(path.parent)
    except FileExistsError as error:
        Path(name).unlink(missing_ok=True)
        raise _conflict(path) from error
    except OSError as error:
        Path(name or os.devnull + "x").unlink(missing_ok=True)
        raise _failed(path, error) from error


def write_folder(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Make a folder with files, at once.

    Raises
    ------
    SaveConflict
        Something of that name exists.
    SaveError
        The storage failed; there is no such folder.
    """
    _check(path, overwrite=False)
    made: Path | None = None
    try:
        made = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        made.chmod(0o755)
        folders = {made}
        for key, content in files:
            place = made / key
            place.parent.mkdir(parents=True, exist_ok=True)
            folders |= {above for above in place.parents if above.is_relative_to(made)}
            with place.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for folder in folders:
            _sync(folder)
        if os.path.lexists(path):
            raise _conflict(path)
        os.rename(made, path)
        _sync(path.parent)
    except OSError as error:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)
        if isinstance(error, SaveError):
            raise
        raise _failed(path, error) from error
    except BaseException:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)
        raise


def _check(path: Path, *, overwrite: bool) -> None:
    if os.path.lexists(path) and not overwrite:
        raise _conflict(path)


def _conflict(path: Path) -> SaveConflict:
    return SaveConflict(f"write to {path}; something is there; choose another name, or pass overwrite=True for a file")


def _failed(path: Path, error: OSError) -> SaveError:
    return SaveError(f"write to {path}; the storage failed ({error.strerror or error}); the target is as it was")


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
