"""A daemon that kills itself: ``captpd`` as it is, with a fuse laid, a fault planted, or more care."""

from __future__ import annotations

import os
from pathlib import Path

from captpd.cli.main import main
from tests.durability.kill.plants import PLANTS
from tests.durability.kill.points import Fuse, care_often, lay

if __name__ == "__main__":
    if plant := os.environ.get("KILL_PLANT"):
        PLANTS[plant]()
    if os.environ.get("KILL_CARE"):
        care_often()
    if point := os.environ.get("KILL_POINT"):
        lay(Fuse(point, int(os.environ["KILL_AT"]), Path(os.environ["KILL_SAID"])))
    main()
