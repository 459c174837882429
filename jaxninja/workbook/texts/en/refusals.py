"""What a learner reads in English where something cannot be done."""

SENTENCES = {
    # gradients that are not derived by hand
    "by machine autodiff": "uses automatic differentiation ({what})",
    "by machine complex step": "uses a numerical derivative (the complex step, {what})",
    "by machine callback": "hides what it does in a callback",
    "by machine complex": "computes with complex numbers, as numerical derivatives do",
    "by machine ready": "calls {what}, which has gradients ready",
    "an equation": "an equation {name!r} of {place}",
    "an import": "import {name}",
    "derive": "{function} {found}: derive it by hand",
    # what an error of Python's came to
    "raised": "raised {kind}: {message}",
    "no message": "no message",
    "raised numpy": "turns a traced array into a NumPy array: use jax.numpy there",
    "raised control": "uses Python control flow or a Python number on a traced array: "
    "use jnp.where or jax.lax.cond",
    "raised closure": "uses a traced value from outside of it: pass it as an argument",
    "exits": "{kind} ends Python, and the check with it: take it out",
    "not Python": "this is not Python: {error}",
    # calls that stop a check
    "terminal": "{call}() waits for a terminal that a check does not have: print what "
    "you want to see",
    "terminal input": "{call}() waits for a terminal that a check does not have: write "
    "the value down",
    "runs lines": "{call}() runs a text: write its lines themselves",
    "runs expression": "{call}() runs a text: write the expression itself",
    "imports text": "{call}() imports by a text: write `import`",
    # what training cannot compile
    "compile numpy": "training compiles backward, and NumPy cannot be compiled: use "
    "jnp, and for np.add.at the method .at[...].add(...)",
    "compile numbers": "training compiles backward, before there are numbers: int, "
    "float, if, while and assert cannot have those of an array; use jnp, as in "
    "jnp.where",
    # the process that checks
    "and more": "... and more, which is not shown",
    "check failed": "the check itself failed: {kind}: {message}. That is a mistake in "
    "jaxninja, not in this file",
    # folders and files
    "is a file": "{folder} is a file, expected a folder",
    "no workbook": "no workbook in {folder!r}: `jaxninja exercise start {start}` makes "
    "one",
    "not there": "{path} is not there; `jaxninja exercise start {folder}` makes it "
    "again",
    "not UTF-8": "{path} is not UTF-8 at byte {byte}",
    "cannot write": "{path} cannot be written: {why}",
    "not saved": "progress is not kept: {path}: {why}",
    "not readable": "progress is not kept: {path} is not readable: delete it, and the "
    "next check makes it again",
    # what was asked for
    "no place": "{place!r}: expected N.NAME with N from 1 to {last}, as 1.counts",
    "no gradient": "exercise {number} has no gradient {name!r}, it asks for: {names}"
    "{meant}",
    "no exercise": "exercise {number!r}: expected 1 to {last}",
    "not right yet": "{place} is not right yet: {how} helps",
    "limit": "--limit {limit}: expected seconds, more than 0, a day at most",
    "not again": "{place} is not right yet: nothing to do again",
    "makes others": "{file}: the lines of {variable} make {names} too: write it in "
    "lines of its own to do it again",
    "nothing is old": "nothing is a week old: nothing is right yet",
    "not so old": "nothing is a week old: the oldest is {place}, of {days} days ago",
    "lambda": "a lambda has no lines to read: define it with def",
    "no source": "{function} has no source to read: define it with def, in a cell or "
    "file",
}
