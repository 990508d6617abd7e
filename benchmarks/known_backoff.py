"""The server whose pause before a second try is always the mean of what it else draws, so that it can be subtracted.

`python benchmarks/known_backoff.py serve …` is `hypereal serve …`. It exists for the benchmark of failover only.
"""

import sys

from hypereal.gateway import attempts
from hypereal.serve import data
from without_money import serve_with

PAUSE_S = attempts.BACKOFF_S
"""Before the second try of a target: the mean of 0 to twice `BACKOFF_S`."""


class Mean:
    """Stands for the module `random` in `attempts`, which draws nothing else."""

    @staticmethod
    def uniform(low: float, high: float) -> float:
        return (low + high) / 2


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve_with(__file__)
    else:
        attempts.random = Mean  # type: ignore[attr-defined]
        data.main()
