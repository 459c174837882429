"""Cases that may be looked at while the checker is improved."""
