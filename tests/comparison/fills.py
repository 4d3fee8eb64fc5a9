"""Files with other fill values, the second of which stores nothing: run with ``python -m tests.comparison.fills``."""

import numpy as np

from tests.comparison.peers import Part, Row, main

CELLS = np.arange(1, 5, dtype="int16")
ROW = Row(
    [Part(CELLS, (2,), fill=7), Part(CELLS, (2,), fill=9, missing=True)],
    np.array([1, 2, 3, 4, 9, 9, 9, 9], "int16"),
)

if __name__ == "__main__":
    main(ROW)
