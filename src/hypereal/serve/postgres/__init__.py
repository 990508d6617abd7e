"""PostgreSQL for an installation: the embedded one in the data folder, or the operator's own.

`cluster.py` is the life of the embedded one; `binaries.py` says whose programs run and as which user.
"""

from hypereal.serve.postgres.cluster import EmbeddedPostgres
from hypereal.serve.postgres.external import check_external
from hypereal.serve.postgres.reach import reach_database, reach_database_alone

__all__ = ["EmbeddedPostgres", "check_external", "reach_database", "reach_database_alone"]
