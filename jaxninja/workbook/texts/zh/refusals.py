"""What a learner reads in Chinese where something cannot be done."""
# ruff: noqa: E501  (it counts a Chinese letter as two)

SENTENCES = {
    # gradients that are not derived by hand
    "by machine autodiff": "用了自动微分（{what}）",
    "by machine complex step": "用了数值导数（复数步长法，{what}）",
    "by machine callback": "把所做的事藏在回调函数里",
    "by machine complex": "用复数来计算，数值导数就是这样做的",
    "by machine ready": "调用了 {what}，那里有现成的梯度",
    "an equation": "{place} 中的运算 {name!r}",
    "an import": "导入 {name}",
    "derive": "{function} {found}：请手工推导",
    # what an error of Python's came to
    "raised": "引发了 {kind}：{message}",
    "no message": "没有说明",
    "raised numpy": "把正在追踪的数组变成了 NumPy 数组：那里请用 jax.numpy",
    "raised control": "对正在追踪的数组用了 Python 的控制流或 Python 的数：请用 jnp.where 或 jax.lax.cond",
    "raised closure": "用了外面正在追踪的值：请把它作为参数传入",
    "exits": "{kind} 会结束 Python，检查也随之结束：请删去",
    "not Python": "这不是合法的 Python：{error}",
    # calls that stop a check
    "terminal": "{call}() 要等待终端，而检查时没有终端：想看什么就用 print",
    "terminal input": "{call}() 要等待终端，而检查时没有终端：请直接写出这个值",
    "runs lines": "{call}() 运行的是一段文本：请把那几行直接写出来",
    "runs expression": "{call}() 运行的是一段文本：请把表达式直接写出来",
    "imports text": "{call}() 按文本导入：请写 `import`",
    # what training cannot compile
    "compile numpy": "训练时要编译 backward，而 NumPy 无法编译：请用 jnp，"
    "np.add.at 则用方法 .at[...].add(...)",
    "compile numbers": "训练时先编译 backward，那时还没有数值：int、float、if、while 和 assert "
    "都拿不到数组的值；请用 jnp，例如 jnp.where",
    # the process that checks
    "and more": "……后面还有，不再显示",
    "check failed": "检查程序自己出错了：{kind}：{message}。这是 jaxninja 的错，不是这个文件的错",
    # folders and files
    "is a file": "{folder} 是一个文件，应为文件夹",
    "no workbook": "{folder!r} 中没有练习册：`jaxninja exercise start {start}` 会建立一个",
    "not there": "{path} 不存在；`jaxninja exercise start {folder}` 会重新建立它",
    "not UTF-8": "{path} 在第 {byte} 个字节处不是 UTF-8",
    "cannot write": "无法写入 {path}：{why}",
    "not saved": "进度没有保存：{path}：{why}",
    "not readable": "进度没有保存：{path} 无法读取：请删去它，下次检查会重新建立",
    # what was asked for
    "no place": "{place!r}：应为 N.NAME，N 从 1 到 {last}，例如 1.counts",
    "no gradient": "练习 {number} 没有梯度 {name!r}，它要求的是：{names}{meant}",
    "no exercise": "练习 {number!r}：应为 1 到 {last}",
    "not right yet": "{place} 还没有做对：{how} 会给出提示",
    "limit": "--limit {limit}：应为秒数，大于 0，至多一天",
    "not again": "{place} 还没有做对：没有可以重做的",
    "makes others": "{file}：{variable} 的那几行还算出了 {names}：要重做它，请让它单独成行",
    "nothing is old": "没有满一周的：还没有做对任何一个",
    "not so old": "没有满一周的：最早的是 {place}，{days} 天之前",
    "lambda": "lambda 没有可读的行：请用 def 定义",
    "no source": "读不到 {function} 的源代码：请在单元格或文件中用 def 定义",
}
