"""Break a correct backward pass in known ways, to see who notices."""

from jaxninja.mutate.edits import Change, changes, with_edits
from jaxninja.mutate.surgery import Edit

__all__ = ["Change", "Edit", "changes", "with_edits"]
