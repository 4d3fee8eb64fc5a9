"""Files with other chunk shapes: run with ``python -m tests.comparison.chunks``."""

import numpy as np

from tests.comparison.peers import Part, Row, main

CELLS = np.arange(1, 7, dtype="int16")
ROW = Row([Part(CELLS, (2,), fill=-1), Part(CELLS + 6, (3,), fill=-1)], np.arange(1, 13, dtype="int16"))

if __name__ == "__main__":
    main(ROW)
