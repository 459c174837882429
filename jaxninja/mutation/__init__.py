"""Break a correct backward pass in known ways, to see who notices."""

from jaxninja.mutation.enumeration import Change, changes, with_edits
from jaxninja.mutation.rewrite import Edit

__all__ = ["Change", "Edit", "changes", "with_edits"]
