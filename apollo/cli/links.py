"""Where a deployment is seen in Temporal's own pages."""

import json
import os
from urllib.parse import quote

from apollo.settings import Settings


def temporal_link(settings: Settings, workflow_id: str) -> str:
    """The page of the workflow; nothing when it is not known where the pages are."""
    try:
        ui = json.loads(settings.temporal_file.read_text(encoding="utf-8"))["ui"]
    except (OSError, ValueError, KeyError):
        return ""
    namespace = quote(os.environ.get("TEMPORAL_NAMESPACE") or "default", safe="")
    return f"{ui}/namespaces/{namespace}/workflows/{quote(workflow_id, safe='')}"
