"""The workbook: exercises 1 to 4 of "Becoming a Backprop Ninja" and more, all checked.

On the command line `jaxninja exercise`; in a notebook

    from jaxninja import workbook

    workbook.check(1, backward)     # the report, with pictures
    workbook.hint("1.counts")       # one more hint each time
    workbook.why("1.counts")        # the derivation, once it is right
    workbook.speak("zh")            # all of it in Chinese from now on
"""

from jaxninja.workbook.notebook import (
    check,
    cost,
    hint,
    lecture_sample,
    save,
    speak,
    why,
)

__all__ = ["check", "cost", "hint", "lecture_sample", "save", "speak", "why"]
