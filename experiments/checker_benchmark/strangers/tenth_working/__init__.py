"""Of the tenth gathering, what may be looked at while the checker is improved."""
