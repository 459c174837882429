"""The exercises in Chinese, a file each: a title, the head of the file, its lessons.

The English is in the worked solutions: their docstrings, and the comment above each
gradient. Where these refer to another exercise, so does the Chinese.
"""

from jaxninja.workbook.texts.zh.exercises import (
    exercise1,
    exercise2,
    exercise3,
    exercise4,
    exercise5,
    exercise6,
    exercise7,
    exercise8,
)

_ALL = (
    *(exercise1, exercise2, exercise3, exercise4),
    *(exercise5, exercise6, exercise7, exercise8),
)
TITLES = {number: one.TITLE for number, one in enumerate(_ALL, 1)}
HEADS = {number: one.HEAD for number, one in enumerate(_ALL, 1)}
LESSONS = {number: one.LESSONS for number, one in enumerate(_ALL, 1)}
