"""Exercise 3 in Chinese: `workbook.solutions.exercise3` has the English."""
# ruff: noqa: E501  (it counts a Chinese letter as two)

TITLE = "批归一化：一个表达式"

HEAD = """练习 3：用一个表达式写出批归一化的梯度（1:36:37）。

练习 1 从 hpreact 到 hprebn 走了七步。现在把它们看作一个公式：

    bnraw = (hprebn - mean) / sqrt(var + 1e-5),   var = sum (hprebn - mean)^2 / (n - 1)
    hpreact = bngain * bnraw + bnbias

用给定的 dhpreact 写出 dhprebn。注意贝塞尔校正。
"""

LESSONS = {
    "hprebn": {
        "rule": "从 hprebn 到 hpreact 有三条路径：直接的、经过均值的、经过方差的。在纸上"
        "把它们合并，并利用 sum (hprebn - mean) = 0。",
        "steps": (
            "先去掉增益和偏置：dbnraw = bngain * dhpreact。剩下的是归一化，其中的均值和"
            "方差都由全部 n 行共用。",
            "dvar = dbnraw * bndiff * -1/2 * (var + 1e-5)^(-3/2) 在各行上的和，也就是 "
            "-1/2 * bnvar_inv^2 * sum(dbnraw * bnraw)。",
            "dmean = -bnvar_inv * sum(dbnraw)。从均值经过方差的路径没有贡献：它的因子是 "
            "sum (hprebn - mean) = 0。",
            "相加：dhprebn = bnvar_inv * dbnraw + dvar * 2 * bndiff / (n - 1) + dmean / n；"
            "再代入 dvar 和 dmean，提出 bnvar_inv / n。",
        ),
        "formula": "bngain * bnvar_inv / n * (n * dhpreact - sum(dhpreact) - n / (n - 1) * "
        "bnraw * sum(dhpreact * bnraw))，求和都是在各行上。",
        "why": "从 dhpreact 中减去它的均值，以及它沿 bnraw 方向的分量：一列在这两个方向上"
        "的变化，正是归一化所去掉的。方差除以的是 n - 1，所以括号里有 n / (n - 1)。",
    },
}
