"""A file that is gone when the join is read: run with ``python -m tests.comparison.gone``."""

import shutil
from pathlib import Path

import numpy as np

from tests.comparison.peers import Part, Row, main


def damage() -> None:
    """Take the second file away."""
    Path("1.nc").unlink()
    shutil.rmtree("1.zarr")


CELLS = np.arange(1, 5, dtype="int16")
ROW = Row([Part(CELLS, (2,), fill=-1), Part(CELLS + 4, (2,), fill=-1)], None, damage=damage)

if __name__ == "__main__":
    main(ROW)
