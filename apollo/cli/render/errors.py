"""Errors as a terminal shows them."""

from apollo.errors import ApolloError


def render_error(error: ApolloError) -> str:
    """`error[Code] message`, and the next step below it."""
    text = error.message
    if not text.startswith("error["):
        text = f"error[{error.code}] {text}"
    return f"{text}\n  {error.hint}" if error.hint else text
