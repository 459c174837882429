"""Of the ninth gathering, what may be looked at while the checker is improved."""
