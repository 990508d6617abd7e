"""`python -m hypereal.migrations` brings the database at HYPEREAL_MIGRATE_URL up to the newest migration.

Start it through `serve/migrate.py`: Alembic and SQLAlchemy stay in this short-lived process.
"""

import os
from pathlib import Path

from alembic import command
from alembic.config import Config

config = Config()
config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
config.attributes["url"] = os.environ["HYPEREAL_MIGRATE_URL"]
command.upgrade(config, "head")
