"""Stop the embedded PostgreSQL of the data folder and permanently delete its data."""

from __future__ import annotations

import shutil

from db.embedded import destroy
from settings import load_settings

folder = load_settings().server.data_dir
destroy(folder)
shutil.rmtree(folder, ignore_errors=True)
print(f"Removed {folder}")
