"""Answers written in PyTorch, in the lecture's notebook, as files of the workbook."""
