"""A command line, or a setting, that makes no sense."""

from apollo.errors import ApolloError


class Misused(ApolloError):
    """What was typed makes no sense."""

    exit_code = 2

    @property
    def code(self) -> str:
        """As mistakes that the parser finds."""
        return "Usage"
