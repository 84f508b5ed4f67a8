"""The settings that commands use."""

from pydantic import ValidationError
from pydantic_settings import SettingsError

from apollo.cli.misuse import Misused
from apollo.settings import Settings


def read_settings() -> Settings:
    """What `APOLLO_*` says.

    Raises:
        Misused: A variable's value is none.
    """
    try:
        return Settings()
    except ValidationError as error:
        found = error.errors()[0]
        name = "_".join(str(part) for part in found["loc"][:1]).upper()
        raise Misused(f"APOLLO_{name}: {found['msg']}", hint="change it or unset it") from error
    except SettingsError as error:
        raise Misused(str(error), hint='lists are JSON: ["env:APOLLO_SECRET_"]') from error
