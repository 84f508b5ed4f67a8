"""Every error that Apollo raises on purpose.

ApolloError
├── InvalidFiles          mistakes in apollo.yaml or an inventory
├── Refused               a request that makes no sense now
├── InvalidSchedule       a cron line, an interval, a time zone or stages that make no sense
├── NotFound              an application, environment, release or deployment that nobody knows
├── BadEncryptionKey      APOLLO_ENCRYPTION_KEY holds something that is no key
├── Undecryptable         a payload whose key is not here, or that was changed
├── WebhookRefused        a webhook that will not take a notification
├── Unavailable           Temporal, the catalog or the store does not answer
│   └── Undelivered       a webhook that has not taken a notification
├── Abandoned             a deployment whose workflow was ended from outside
└── TurnError             a host's turn; has host and step
    ├── ConnectFailed, HostKeyUnknown, HostKeyChanged, AuthFailed, NoShell
    ├── HostBusy, Fenced, ForeignRoot, RootNotWritable, DiskFull, NothingRuns
    ├── DigestMismatch, SecretUnavailable, StoreUnavailable
    ├── HookFailed, HookTimedOut, HookLost, JournalLost, NotHealthy
    └── BalancerUnavailable, BalancerFailed

`retried` says whether another attempt at the same turn is made; `unreachable` whether the host's
own reasons kept it from changing, which says nothing about the release (rule 5).
"""

from datetime import timedelta
from typing import ClassVar


class ApolloError(Exception):
    """Something failed; `hint` says what to do next."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def code(self) -> str:
        """The error's name, as status and the Temporal UI show it."""
        return type(self).__name__


class InvalidFiles(ApolloError):
    """Mistakes in the files that users write."""

    exit_code = 2


class Refused(ApolloError):
    """The request makes no sense now; nothing was changed."""

    exit_code = 5


class InvalidSchedule(ApolloError):
    """A cron line, an interval, a time zone or stages that make no sense."""

    exit_code = 2


class NotFound(ApolloError):
    """Nobody knows what was named."""

    exit_code = 2


class Unavailable(ApolloError):
    """A part that Apollo needs does not answer."""


class BadEncryptionKey(ApolloError):
    """`APOLLO_ENCRYPTION_KEY` holds something that is no key; the message never shows it."""

    exit_code = 2


class Undecryptable(ApolloError):
    """A payload was encrypted with a key that is not here, or is not what was encrypted."""


class Abandoned(ApolloError):
    """A deployment's workflow was ended from outside, and nothing has taken its place yet."""

    exit_code = 3


class Undelivered(Unavailable):
    """A webhook has not taken a notification; `after` is the pause that it asked for."""

    def __init__(self, message: str, *, after: timedelta | None = None) -> None:
        super().__init__(message)
        self.after = after


class WebhookRefused(ApolloError):
    """A webhook will not take a notification, however often it is sent."""


class TurnError(ApolloError):
    """A host's turn could not go on: which host, in which step, what was found and left behind."""

    retried: ClassVar[bool] = False
    unreachable: ClassVar[bool] = False

    def __init__(
        self, message: str, *, host: str, step: str, left: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.host = host
        self.step = step
        self.left = left


class ConnectFailed(TurnError):
    """No SSH connection came about."""

    unreachable = True


class HostKeyUnknown(TurnError):
    """The catalog holds no key for the host."""

    unreachable = True


class HostKeyChanged(TurnError):
    """The host shows another key than the one the catalog holds."""

    unreachable = True


class AuthFailed(TurnError):
    """The host refused the login."""

    unreachable = True


class NoShell(TurnError):
    """The host gives no usable shell."""

    unreachable = True


class HostBusy(TurnError):
    """Another turn still works on the host."""

    unreachable = True


class Fenced(TurnError):
    """A newer attempt or turn has taken the host over; this one must do nothing more."""


class ForeignRoot(TurnError):
    """The root folder belongs to another application, environment or catalog."""

    unreachable = True


class RootNotWritable(TurnError):
    """The root folder cannot be made or written by the login user."""

    unreachable = True


class DiskFull(TurnError):
    """The host has no room."""

    unreachable = True


class NothingRuns(TurnError):
    """The host has nothing that could be restarted."""

    unreachable = True


class DigestMismatch(TurnError):
    """What arrived on the host is not what was sent."""

    retried = True


class SecretUnavailable(TurnError):
    """A secret's reference is not allowed on this worker, or has no value."""

    unreachable = True


class StoreUnavailable(TurnError):
    """This worker cannot get what the host is to run: not from the store, or nobody lends it."""

    unreachable = True


class HookFailed(TurnError):
    """A hook ended with an exit code other than 0."""


class HookTimedOut(TurnError):
    """A hook was stopped after its timeout."""


class HookLost(TurnError):
    """A hook's runner vanished, though the host stayed up."""


class JournalLost(TurnError):
    """A hook has removed the turn's journal; the next attempt puts the host back."""

    retried = True


class NotHealthy(TurnError):
    """The health check did not pass within its deadline."""


class BalancerUnavailable(TurnError):
    """This worker cannot speak to the balancer: it may not run its commands, or lacks something."""

    unreachable = True


class BalancerFailed(TurnError):
    """The load balancer did not do what was asked; never a reason to put a healthy host back."""

    retried = True


class ContactLost(TurnError):
    """The connection ended in the middle of a turn; the next attempt attaches."""

    retried = True
