"""Exercise 4 in Chinese: `workbook.solutions.exercise4` has the English."""
# ruff: noqa: E501  (it counts a Chinese letter as two)

TITLE = "合为一体"

HEAD = """练习 4：合为一体（1:50:02）。

完整的反向传播，其中包含练习 2 和练习 3：用这个函数来训练网络。

    jaxninja train --route exercise4.py --data makemore

会在每一步调用它来得到七个参数的梯度，并证明其中没有用到自动微分。
`backward` 可以按名字索取前向传播的任何数组，就像下面这样；没有索取的数组无需保存。
用练习 1 的函数也可以，只是更长、更慢。
"""

LESSONS = {
    "logits": {
        "rule": "练习 2。",
        "formula": "(softmax(logits) - onehot(Yb)) / n。",
        "why": "见练习 2。",
    },
    "h": {
        "rule": "矩阵乘积 h @ W：dh = upstream @ W.T。",
        "formula": "dlogits @ W2.T。",
        "why": "见练习 1。",
    },
    "W2": {
        "rule": "矩阵乘积 h @ W：dW = h.T @ upstream。",
        "formula": "h.T @ dlogits。",
        "why": "见练习 1。",
    },
    "b2": {
        "rule": "偏置在批上广播：在批上求和。",
        "formula": "dlogits 在 n 行上的和。",
        "why": "见练习 1。",
    },
    "hpreact": {
        "rule": "tanh' 用 tanh 的输出来写。",
        "formula": "(1 - h^2) * dh。",
        "why": "见练习 1。",
    },
    "bngain": {
        "rule": "含有被广播因子的乘积：在各个副本上求和。",
        "formula": "bnraw * dhpreact 在 n 行上的和。",
        "why": "见练习 1。",
    },
    "bnbias": {
        "rule": "偏置在批上广播：在批上求和。",
        "formula": "dhpreact 在 n 行上的和。",
        "why": "见练习 1。",
    },
    "hprebn": {
        "rule": "练习 3；其中的两个和在这里已经有了。",
        "formula": "bngain * bnvar_inv / n * (n * dhpreact - dbnbias - n / (n - 1) * bnraw "
        "* dbngain)。",
        "why": "sum(dhpreact) 就是 dbnbias，sum(dhpreact * bnraw) 就是 dbngain。",
    },
    "embcat": {
        "rule": "矩阵乘积 x @ W：dx = upstream @ W.T。",
        "formula": "dhprebn @ W1.T。",
        "why": "见练习 1。",
    },
    "W1": {
        "rule": "矩阵乘积 x @ W：dW = x.T @ upstream。",
        "formula": "embcat.T @ dhprebn。",
        "why": "见练习 1。",
    },
    "b1": {
        "rule": "偏置在批上广播：在批上求和。",
        "formula": "dhprebn 在 n 行上的和。",
        "why": "除舍入误差外它等于零：批归一化会消去它前面的任何偏置。",
    },
    "emb": {
        "rule": "改变形状：改回去即可。",
        "formula": "把 dembcat 变成 emb 的形状。",
        "why": "见练习 1。",
    },
    "C": {
        "rule": "索引读取若干行；每一行收到各个读取者传回的梯度之和。",
        "formula": "把 demb[k, j] 加到全零的 [V, E] 的第 Xb[k, j] 行。",
        "why": "见练习 1。",
    },
}
