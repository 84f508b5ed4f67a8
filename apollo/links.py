"""Where a workflow is seen in Temporal's own pages."""

import json
import os
from urllib.parse import quote

from apollo.settings import Settings


def temporal_link(settings: Settings, workflow_id: str) -> str:
    """The page of the workflow; nothing when it is not known where the pages are."""
    ui = ui_address(settings)
    if not ui:
        return ""
    namespace = quote(os.environ.get("TEMPORAL_NAMESPACE") or "default", safe="")
    return f"{ui}/namespaces/{namespace}/workflows/{quote(workflow_id, safe='')}"


def ui_address(settings: Settings) -> str:
    """Where the pages are; nothing when that is not known."""
    return settings.ui.rstrip("/") or _local_ui(settings)


def _local_ui(settings: Settings) -> str:
    try:
        found: str = json.loads(settings.temporal_file.read_text(encoding="utf-8"))["ui"]
    except (OSError, ValueError, KeyError):
        return ""
    return found
