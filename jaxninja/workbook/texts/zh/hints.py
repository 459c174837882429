"""The hints on a wrong gradient in Chinese, by the codes of `workbook.hints`."""
# ruff: noqa: E501  (it counts a Chinese letter as two)

HINTS = {
    # all of it
    "zero": "d{name} 处处为零（不计舍入误差）",
    "sign of all": "d{name} 的符号反了",
    "transposed": "d{name} 被转置了",
    "times n": "d{name} 大了 n 倍",
    "over n": "d{name} 多除了一次 n",
    "same rows": "d{name} 的每一行都相同：是真实梯度沿轴 0 的平均值",
    "factor": "d{name} 等于真实梯度乘以 {factor}",
    # its branches
    "one branch": "d{name} 只有经过 {one} 的分支：{name} 被 {all} 读取；缺少经过 "
    "{other} 的分支：用 += 加上",
    "no branch": "d{name}：{name} 被 {all} 读取；缺少经过 {other} 的分支：用 += 加上",
    "one branch, max": "d{name} 只有经过 {one} 的分支：{name} 被 {all} 读取；缺少"
    "取最大值的分支：在每行最大值的位置加上 d{other}",
    "overwritten": "d{name} 只有经过 {other} 的分支：{name} 被 {all} 读取；经过 "
    "{one} 的分支被覆盖了：该用 += 的地方用了 =",
    "branch twice": "d{name}：经过 {other} 的分支加了两次",
    "branch off": "d{name}：经过 {other} 的分支符号反了",
    "lands": "d{name}：{branch}在第 {row} 行落到了{where}，应当落在{place}",
    # sums, sizes and signs
    "no sum": "d{name}：{inner} 缺少沿轴 {axis} 的求和：前向广播的，反向要求和",
    "mean": "d{name}：该求和的地方用了平均",
    "other axis": "d{name}：{kind}沿的是轴 {other}，应当沿轴 {axis}",
    "all axes": "d{name}：{kind}沿的是所有轴，应当沿轴 {axis}",
    "sum": "d{name}：该用平均的地方用了求和",
    "sum too many": "d{name}：{inner} 沿轴 {axis} 求了和，其实不该求：它在前向传播中没有被广播",
    "sums first": "d{name}：该把乘积求和的地方，却把和相乘了：{whole}",
    "n - 1": "d{name}：该用 {size} 的地方用了 {size} - 1",
    "no 1/n": "d{name}：缺少因子 1/{below}",
    "n": "d{name}：该用 n - 1 的地方用了 n：贝塞尔校正",
    "no minus": "d{name}：{inner} 前面缺少负号：符号反了",
    "plus": "d{name}：{right} 是加上的，应当减去：符号反了",
    "not subtracted": "d{name}：没有减去 {what}：缺少这一项",
    "no term": "d{name}：缺少 {left} 这一项",
    # products and powers
    "no transpose": "d{name}：{inner} 应当转置",
    "no product": "d{name}：{inner} 缺少矩阵乘积：{missing}",
    "extra transpose": "d{name}：{inner} 不应转置",
    "no swap": "d{name}：{inner} 的轴 {axes} 应当交换：.swapaxes({axes})",
    "operands": "d{name}：@ 的两个操作数颠倒了：{left} 应在前面",
    "no upstream": "d{name}：没有乘以上游梯度 {missing}",
    "no factor": "d{name}：缺少因子 {missing}",
    "divided": "d{name}：除以了 {right}，应当乘以它",
    "multiplied": "d{name}：乘以了 {right}，应当除以它",
    "extra factor": "d{name}：{inner} 多乘了 {extra}",
    "extra division": "d{name}：{inner} 多除了 {extra}",
    "brackets": "d{name}：{part} 只作用在其中一项上，应当作用于所有各项：请把它们放进括号",
    "exchanged": "d{name}：{one} 与 {other} 对调了",
    "no division": "d{name}：没有除以 {right}",
    "no power": "d{name}：{base} 缺少 {power} 次幂",
    "other power": "d{name}：{base} 取了 {new} 次幂，应当是 {power} 次",
    "added outside": "d{name}：{number} 是在取幂之后才加上的，应当先加到 {base} 上：{right}",
    "other slope": "d{name}：该用 {old} 的导数的地方用了 {new} 的导数：{right}",
    "power of all": "d{name}：{power} 次幂只作用在 {base} 上：{right}",
    "number": "d{name}：该用 {old} 的地方用了 {new}",
    "no mask": "d{name}：{inner} 没有加掩码：被掩码遮住的元素不起作用，所以 {mask} 为 False 的位置"
    "梯度是 0",
    "mask transposed": "d{name}：掩码被转置了：应当为 0 的是 {mask} 为 False 的位置",
    "minus infinity": "d{name}：该用 0 的地方用了 -jnp.inf：被掩码遮住的元素不起作用，所以 {mask} 为 False "
    "的位置梯度是 0",
    "diagonal": "d{name}：{p} * (1 - {p}) 只是 softmax 雅可比矩阵的对角线：一行中的每个元素都依赖于"
    "其余所有元素；请从 {upstream} 中减去 {inner} 在该行上的和",
    # softmax, indices, shapes, saved arrays
    "softmax axis": "d{name}：softmax 沿的是轴 {other}，应当沿轴 {axis}：每一行是一个样本",
    "no softmax": "d{name}：缺少 softmax：{x} 不是概率",
    "exp": "d{name}：exp({x}) 没有归一化：softmax 要除以所在行的和",
    "log_softmax": "d{name}：该用 softmax 的地方用了 log_softmax",
    "set": "d{name}：该用 add 的地方用了 set：对被多次读取的行，最后一个梯度覆盖了其余的",
    "first symbol": "d{name}：只计入了每个上下文的第一个符号",
    "all rows": "d{name}：该用 [jnp.arange(n), Yb] 的地方用了 [:, Yb]：每行只有一个目标",
    "argmax": "d{name}：该用 Yb 的地方用了 argmax(1)：损失读取的是目标所在的元素",
    "one-hot": "d{name}：独热编码取自 {other}，应当取自 {given}",
    "all entries": "d{name}：只该在目标处减去的数，在每个元素处都减去了：请用 {given} 的独热编码",
    "rows": "d{name}：单独的 [{given}] 取的是整行：[jnp.arange(n), {given}] 才是每行取一个元素",
    "no one-hot": "d{name}：该用 {given} 的独热编码的地方用了 {given} 本身：它存的是类别的编号",
    "ties": "d{name}：若一行的最大值出现两次，两个位置都收到了整个 dlogit_maxes：要么分给"
    "它们，要么像 argmax 那样只给其中一个",
    "order": "d{name}：形状是对的，数的顺序不对：前向传播用的是普通的 reshape，用 "
    ".reshape({name}.shape) 还原",
    "list order": "d{name}：各部分的次序不对，应当是 {right}",
    "no reshape": "d{name}：数是对的，形状却是 {given}：请写 .reshape({name}.shape)",
    "other places": "d{name}：数是对的，位置不对：前向传播中的每次 reshape 和交换轴都要还原，"
    "最后做的最先还原",
    "not spread": "d{name} 是 {given}，而 {name} 是 {expected}：这里不做广播，所以请复制它："
    "jnp.broadcast_to(..., {name}.shape)",
    "not summed": "d{name} 是 {given}，而 {name} 是 {expected}：请沿轴 {axis} 求和",
    "diagonal alone": "d{name}：@ 把每一行与所有的行都配了对；只有它的对角线是对的：请用 * 相乘再求和",
    "every with every": "d{name}：jnp.dot 把一叠矩阵中的每一个与另一叠中的所有矩阵都相乘：请用 @，它逐对相乘",
    "saved": "d{name}：该用 {old} 的地方用了 {new}：用错了保存的值",
    "all saved": "d{name}：该用 {old} 的地方用了 {new}：用错了保存的值",
    "value": "d{name}：该用 {old} 的地方用了 {new}",
    "slope": "d{name}：该用导数的地方用了 {new}：它是前向传播的值，不是值的变化率",
    "upstream": "d{name}：该用 {old} 的地方用了 {new}：用错了上游梯度",
    "gradient for array": "d{name}：该用 {old} 的地方用了 {new}：用梯度代替了数组",
    "array for gradient": "d{name}：该用 {old} 的地方用了 {new}：用数组代替了它的梯度",
    # without knowing the mistake
    "narrow": "数据类型：它是 {dtype}，装不下梯度：请用 float32",
    "sizes": "d{name} 只对{whose}尺寸是对的：{which}",
    "written out": "d{name}：{which}：也会用别的尺寸来检查",
    "does not follow": "d{name} 不是由 {sources} 得来的：它对{above} 是对的，但无论 {sources} "
    "是什么，它都一样。请只对这一步应用链式法则（走捷径的是练习 2、3、4 和 8）",
    "loss only": "d{name} 对{above} 是对的，但当 {sources} 为随机值时，误差达到其最大元素的 "
    "{error}：前者掩盖了错误",
    "tiny": "d{name} 的误差是其最大元素的 {error}：在 float32 中小得看不出来，在 float64 中又"
    "大于舍入误差。是不是加了一个很小的数、截短了某个常数、把数组转成了 float32，或者用了"
    "差分求导？",
    "imprecise": "d{name} 的误差是其最大元素的 {error}：是用差分求的导，还是中途有舍入？",
    "at one value": "d{name} 只在 {name} 为 {value} 的地方是对的：是不是多了或少了一个在那里等于 1 "
    "的因子？",
    "zero over zero": "{upstream} 为 0 时 d{name} 是 NaN：不要除以它",
    "not finite": "d{name} 是 NaN 或无穷大：检查有没有 0 / 0、1 / 0、log(0)，以及超出末尾的下标",
    "not finite at": "d{name} 是 NaN 或无穷大，从第 {line} 行的 {text} 开始：检查有没有 0 / 0、1 / 0、"
    "log(0)，以及超出末尾的下标",
    "infinite array": "d{name} 是 NaN 或无穷大：第 {line} 行的 {text} 中有无穷大的元素",
    "checker": "{text}",
    # what is written
    "not a parameter": "{given} 不是 backward 的参数：请加到参数里{meant}",
    "below": "{given} 要到第 {below} 行才算出来，在这一行的下面",
    "undefined": "{given} 没有定义{meant}",
    "not in the cell": "{given} 没有定义：backward 只看得到自己的单元格，以及 jax、jnp 和 np{meant}",
    "dropped": "第 {line} 行：.at[...].{method}(...) 的结果被丢弃了，而 JAX 的数组不会改变："
    "请写 {root} = {root}.at[...].{method}(...)",
    "extra term": "第 {line} 行：多了 {term} 这一项：请去掉",
    "precedence": "第 {line} 行：** 先于 /：要取 {quotient} 次幂，请写 ** ({quotient})",
    "power of sum": "第 {line} 行：** 先于 +：要取 {quotient} 的幂，请写 ({quotient}) **",
    "minus one": "第 {line} 行：/ 先于 -：要除以 {quotient}，请写 / ({quotient})",
    "xor": "第 {line} 行：^ 在 Python 中是异或；乘方是 **",
    "product": "第 {line} 行：{text} 是 {one} @ {other}：前者的最后一轴要与后者的倒数第二轴一样长{instead}",
    "unfinished": "第 {line} 行：{text} 还不是数组，要有方法去改它：请写 {text}.add(...) 或 .set(...)",
    "broadcast": "第 {line} 行：{left} 是 {one}，{right} 是 {other}：从最后一轴数起，两者的轴要一样长，"
    "或者其中一个是 1{instead}",
    "einsum": "第 {line} 行：einsum 中的 {letter} 在 {left} 里是 {one}，在 {right} 里是 {other}：一个字母"
    "只代表一个长度",
    "at": "第 {line} 行：{right} 是 {other}，而它要写到的元素 {left} 是 {one}：请给它同样的形状",
    "at other sizes": "换成别的尺寸（{sizes}）就无法运行：{text}",
    "in place": "第 {line} 行：JAX 的数组不能原地修改：请写 {root} = "
    "{root}.at[...].{method}(...)",
    "torch": "第 {line} 行：{old} 是 PyTorch 的写法；在 JAX 中：{new}",
}
