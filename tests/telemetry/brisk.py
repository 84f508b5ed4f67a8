"""A worker whose catalog work is taken over soon; with `RANDOM_IDS` its spans are as usual ones."""

import asyncio
import os
import secrets
from datetime import timedelta

from apollo.settings import Settings, leave
from apollo.telemetry import identity
from apollo.workers.worker import run_worker
from apollo.workflows import options

if __name__ == "__main__":
    options.CONTROL_HEARTBEAT = timedelta(seconds=4)
    if os.environ.get("RANDOM_IDS"):
        identity._digest = lambda *_: secrets.token_hex(32)
    asyncio.run(run_worker(Settings()))
    leave(0)
