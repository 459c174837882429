"""What a learner's lines raised, in a few words."""

from jaxninja.check.errors import UserCodeError, explained, first_line
from jaxninja.workbook.texts.languages import sentence

KINDS = {"E-NUMPY": "raised numpy", "E-CONTROL": "raised control"}
KINDS |= {"E-CLOSURE": "raised closure"}


def did(error: BaseException) -> str:
    """ "raised TypeError: ...", or what is wrong with what they gave."""
    cause = error.__cause__ if isinstance(error, UserCodeError) else error
    if not isinstance(cause, Exception):
        return error.did if isinstance(error, UserCodeError) else str(error)
    code = explained("", cause).code
    if code in KINDS:
        return sentence(KINDS[code])
    message = first_line(cause) or sentence("no message")
    return sentence("raised", kind=type(cause).__name__, message=message)
