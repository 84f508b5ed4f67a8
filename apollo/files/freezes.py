"""Calendars of freezes: they are read and checked."""

from apollo.domain.freezes import NotACalendar, check_calendar
from apollo.files.draft import Draft, EnvironmentDraft
from apollo.files.positions import Path

LARGEST = 256 * 1024
"""Characters of a calendar: it is kept with the environment."""


def read_freezes(draft: Draft, environment: EnvironmentDraft) -> None:
    """Read the calendars that `freezes` names."""
    part = environment.part
    for index, path in enumerate(part.sequence("freezes")):
        where: Path = ("freezes", index)
        if not isinstance(path, str):
            continue
        document = draft.read_text(path, (part, where))
        if document is None:
            continue
        text, found = document.text, ""
        if len(text) > LARGEST:
            found = f"{path}, which has {len(text)} characters"
        else:
            try:
                check_calendar(text)
            except NotACalendar as error:
                found = f"{path}, with {error}"
        if found:
            expected = f"a calendar (iCalendar) of at most {LARGEST} characters"
            hint = "Export it anew from the calendar's program, as .ics."
            draft.mistakes.append(part.mistake(where, expected=expected, found=found, hint=hint))
        environment.calendars[path] = text
