"""What a document says of an alarm: why it fires, or nothing. Pure."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from apollo.alarms.documents import Unreadable
from apollo.domain.alarms import HttpAlarm

SHOWN = 3
"""Series that are named."""


def query_url(server: str, query: str) -> str:
    """Prometheus's instant query (HTTP API v1, `/api/v1/query`)."""
    return f"{server.rstrip('/')}/api/v1/query?{urlencode({'query': query})}"


def judge_series(document: Any) -> str:
    """Any series of a vector fires, as in Prometheus's own alerting rules; so does a scalar but 0.

    Raises:
        Unreadable: Prometheus says that the query failed, or this is no answer of its.
    """
    match document:
        case {"status": "error", "error": why, **rest}:
            wrong = rest.get("errorType") == "bad_data"
            raise Unreadable(f"Prometheus says: {why}", final=wrong)
        case {"status": "success", "data": {"resultType": "vector", "result": [*series]}}:
            return _series(series)
        case {"status": "success", "data": {"resultType": "scalar", "result": [_, str(value)]}}:
            return "" if float(value) == 0 else f"it is {value}"
        case {"status": "success", "data": {"resultType": kind}}:
            raise Unreadable(f"the query gives a {kind}, expected a vector", final=True)
    raise Unreadable("this is no answer of Prometheus's")


def _series(series: list[Any]) -> str:
    if not series:
        return ""
    names = ", ".join(map(_name, series[:SHOWN]))
    more = f" and {len(series) - SHOWN} more" if len(series) > SHOWN else ""
    return f"{names}{more}"


def _name(series: Any) -> str:
    match series:
        case {"metric": dict(labels), "value": [_, value]}:
            shown = ", ".join(
                f'{key}="{labels[key]}"' for key in sorted(map(str, labels)) if key != "__name__"
            )
            return f"{labels.get('__name__', '')}{{{shown}}} is {value}"
    return "a series"


def judge_document(document: Any, alarm: HttpAlarm) -> str:
    """Fires while what is found is none of what is expected.

    Raises:
        Unreadable: Nothing is there, or no plain value.
    """
    found = document
    for part in alarm.json_.split("."):
        if isinstance(found, Mapping) and part in found:
            found = found[part]
        elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            raise Unreadable(f"{alarm.json_} is not in the document")
    if isinstance(found, dict | list):
        raise Unreadable(f"{alarm.json_} is a {'mapping' if isinstance(found, dict) else 'list'}")
    text = _plain(found)
    return "" if text in alarm.expect else f"{alarm.json_} is {text}, expected {_or(alarm.expect)}"


def _plain(value: Any) -> str:
    """As users write it: `true`, `null`, `3`."""
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def _or(texts: tuple[str, ...]) -> str:
    return " or ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))
