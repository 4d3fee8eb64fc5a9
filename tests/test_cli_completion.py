"""Shell completion: what is installed completes verbs, options, values and files in the shells themselves."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPTS = Path(sys.executable).parent
SECONDS = 30
"""How long a shell may take to answer before the test gives up."""

shells = pytest.mark.parametrize(
    "shell",
    [
        pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed"))
        for name in ("bash", "zsh")
    ],
)


class Terminal:
    """An interactive shell with a home of its own."""

    def __init__(self, shell: str, home: Path) -> None:
        self.seen = ""
        child, self.fd = pty.fork()
        if child == 0:
            os.chdir(home)
            os.execvpe(shell, [shell, "-i"], _environment(home))
        self.child = child

    def type(self, keys: str, until: str) -> str:
        """Press keys, and wait for a text in what is shown from then on; TAB is pressed again where nothing comes of it.

        A busy shell that has not loaded its completions yet answers the first TAB with a bell; bells are not text.
        """
        os.write(self.fd, keys.encode())
        shown, end, again = "", time.monotonic() + SECONDS, time.monotonic() + SECONDS / 5
        while until not in shown:
            now = time.monotonic()
            ready, _, _ = select.select([self.fd], [], [], max(min(end, again) - now, 0))
            if ready:
                shown += os.read(self.fd, 4096).decode(errors="replace").replace("\a", "")
                continue
            assert now < end, f"{until!r} never came; the terminal shows {shown!r} after {self.seen!r}"
            if keys.endswith("\t"):
                os.write(self.fd, b"\t")
            again = now + SECONDS / 5
        self.seen += shown
        return shown

    def close(self) -> None:
        os.close(self.fd)  # the shell gets a hangup
        os.waitpid(self.child, 0)


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("LANG", "LC_ALL", "PYTHONPATH")}
    path = f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "HOME": str(home), "PATH": path, "TERM": "dumb", "PS1": "$ ", "ZDOTDIR": str(home)}


def _installed(shell: str, home: Path) -> str:
    """Run what a person runs once, in that shell."""
    command = [shell, "-c", "lazyzarr --install-completion; exit $?"]
    done = subprocess.run(command, env=_environment(home), capture_output=True, text=True, check=True, cwd=home)
    return done.stdout


@pytest.fixture
def terminal(shell: str, tmp_path: Path) -> Iterator[Terminal]:
    assert f"{shell} completion installed" in _installed(shell, tmp_path)
    opened = Terminal(shell, tmp_path)
    opened.type("echo re''ady\r", "ready")
    # the first TAB only makes zsh load the function
    opened.type("lazyzarr \t\x15echo lo''aded\r", "loaded")
    yield opened
    opened.close()


@shells
def test_verbs_options_values_and_files(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "americas.zarr").mkdir()
    terminal.type("lazyzarr expl\t", "explain ")
    terminal.type("amer\t", "americas.zarr")
    terminal.type(" --sta\t", "--stage ")
    terminal.type("manif\t", "manifest ")
    terminal.type("\x15lazyzarr refresh x --accept gr\t", "grown ")
    terminal.type("\x15lazyzarr export a b --to ice\t", "icechunk ")


@shells
def test_the_shown_script_is_the_installed_one(shell: str, tmp_path: Path) -> None:
    _installed(shell, tmp_path)
    shown = subprocess.run(
        [shell, "-c", "lazyzarr --show-completion; exit $?"],
        env=_environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    place = {"bash": ".bash_completions/lazyzarr.sh", "zsh": ".zfunc/_lazyzarr"}[shell]
    assert shown.strip() == (tmp_path / place).read_text().strip()
    assert "_LAZYZARR_COMPLETE" in shown


def _answer(shell: str, line: str) -> str:
    """What the program says to a shell that asks; no shell is needed for that."""
    words = line.split(" ")
    asked = {
        "bash": {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
    }[shell]
    done = subprocess.run(
        [SCRIPTS / "lazyzarr"],
        env={**os.environ, **asked, "_LAZYZARR_COMPLETE": f"complete_{shell}"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_every_verb_is_offered(shell: str) -> None:
    said = _answer(shell, "lazyzarr ")
    for verb in ("demo", "info", "explain", "check", "flatten", "export", "copy", "append", "refresh", "schema"):
        assert verb in said


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_opens_nothing(shell: str, tmp_path: Path) -> None:
    evil = tmp_path / "$(touch owned)"
    evil.mkdir()
    (evil / "zarr.json").write_text("not JSON")
    said = _answer(shell, f"lazyzarr explain {evil} --stage pl")
    assert "placements" in said
    assert "plan" in said
    assert "touch" not in said
