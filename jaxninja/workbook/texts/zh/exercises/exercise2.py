"""Exercise 2 in Chinese: `workbook.solutions.exercise2` has the English."""
# ruff: noqa: E501  (it counts a Chinese letter as two)

TITLE = "交叉熵：一个表达式"

HEAD = """练习 2：用一个表达式写出交叉熵的梯度（1:26:31）。

练习 1 从损失到 logits 走了八步。现在把损失看作一个公式：

    loss = 各行 log(sum_j exp(logits_j)) - logits_y 的平均值

用纸笔对它求导，几乎所有的项都会消去。
"""

LESSONS = {
    "logits": {
        "rule": "把 log(sum exp) - logits_y 对某一个 logit k 求导。",
        "steps": (
            "取目标为 y 的一行：它的损失是 log(sum_j exp(l_j)) - l_y。第二部分对 l_k 的"
            "导数在 k = y 时是 1，否则是 0。",
            "第一部分对 l_k 的导数是 exp(l_k) / sum_j exp(l_j)：这正是 k 的概率，softmax "
            "一次就给出所有的 k。",
            "损失是 n 行的平均，所以一行的那部分要乘以 1/n。",
        ),
        "formula": "(softmax(logits) - onehot(Yb)) / n。",
        "why": "d/dk log(sum exp) = exp_k / sum = p_k；d/dk logits_y 在 k = y 时是 1，否则"
        "是 0；取平均要除以 n。每一行之和为零：错误的字符按各自的概率被压低，正确的字符"
        "被抬高，抬高的量等于其余压低的量之和。",
    },
}
