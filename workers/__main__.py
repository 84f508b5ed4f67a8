"""`python -m apollo.workers`: a worker with what `APOLLO_*` and `TEMPORAL_*` say."""

import asyncio

from apollo.settings import Settings, leave
from apollo.workers.worker import run_worker

if __name__ == "__main__":
    asyncio.run(run_worker(Settings()))
    leave(0)
