"""Exercise 1 in Chinese: `workbook.solutions.exercise1` has the English."""
# ruff: noqa: E501  (it counts a Chinese letter as two)

TITLE = "逐节点的计算图"

HEAD = """练习 1：沿着网络的计算图，逐个节点做反向传播。

把每个 None 换成损失对该数组的梯度：d<name> 的形状与 <name> 相同。自上而下地写，
也就是从损失开始往回走。若一个数组被读取两次，它的梯度就有两个分支：第一个分支用 `=`，
第二个分支所需的量一旦齐备，就立刻用 `+=` 加上去，赶在其他代码读取它之前。
全部手工推导：检查时不接受 jax.grad 之类的自动微分。

每个空缺的上方列出了前向传播中读取该数组的步骤，以及讲座中推导其梯度的大致时间。
尺寸：n 批大小，T 上下文长度，E 嵌入维度，H 隐藏单元数，V 词表大小。
bngain 和 bnbias 在这里是 [H]，在讲座中是 [1, H]。

讲座用的是 PyTorch，与这里的不同之处：

    keepdim=True                   keepdims=True
    x.max(1).indices               x.argmax(1)
    x[range(n), Yb]                x[jnp.arange(n), Yb]
    dx = dy.clone()                dx = dy，因为数组从不改变
    dC[ix] += demb[k, j]           dC = dC.at[ix].add(demb[k, j])
    x.view(a, b)                   x.reshape(a, b)
    F.one_hot(i, num_classes=V)    jax.nn.one_hot(i, V)
    torch.zeros_like(x)            jnp.zeros_like(x)
    x.exp(), x.log(), x.sqrt()     jnp.exp(x), jnp.log(x), jnp.sqrt(x)
"""

LESSONS = {
    "logprobs": {
        "rule": "损失在每一行只读取一个元素；只有被读取的元素才有梯度。",
        "formula": "目标所在的位置是 -1/n，其余位置是 0。",
        "why": "损失等于 -(a + b + ...)/n，括号里是被取出的 n 个元素，所以对其中每一个的"
        "斜率都是 -1/n。没有被读取的元素对损失没有影响。",
    },
    "probs": {
        "rule": "逐元素的函数：每个元素处的导数，乘以上游梯度。",
        "formula": "dlogprobs / probs，因为 d log(x) = dx / x。",
        "why": "目标的概率越小，1/probs 就越大：网络预测错的样本会得到更大的梯度。",
    },
    "counts_sum_inv": {
        "rule": "乘积 a * b，其中 b 被广播：db 是把 a * upstream 在各个副本上求和。",
        "formula": "对 counts * dprobs 的 V 列求和，并保持为一列 [n, 1]。",
        "why": "一整行共用一个 counts_sum_inv。被多次使用的量，收到的是各次使用传回的"
        "梯度之和；要用 keepdims，否则 [n] 会与各列对齐。",
    },
    "counts_sum": {
        "rule": "幂函数的求导法则，逐元素。",
        "formula": "-dcounts_sum_inv / counts_sum^2。",
        "why": "d(x^-1) = -x^-2 dx。",
    },
    "counts": {
        "rule": "counts 被读取两次，所以它的梯度有两个分支，二者相加。",
        "formula": "counts_sum_inv * dprobs，加上复制到每一列的 dcounts_sum。",
        "why": "第一个分支来自乘积。前向的求和在反向就是复制：每个 count 以斜率 1 加到"
        "所在行的和里，所以每个都收到 dcounts_sum。",
    },
    "norm_logits": {
        "rule": "逐元素的函数，而且导数就是它自己。",
        "formula": "exp(norm_logits) * dcounts，而 counts 已经是这个 exp。",
        "why": "前向传播算过的结果可以直接复用，不必再算一次 exp。",
    },
    "logit_maxes": {
        "rule": "差 a - b，其中 b 被广播：db 是在各个副本上求和，再取负。",
        "formula": "对 dnorm_logits 的 V 列求和再取负，保持为一列 [n, 1]。",
        "why": "结果接近于零，约 1e-9：一行的 logits 整体平移时 softmax 不变，所以减去"
        "的最大值不可能有影响。",
    },
    "logits": {
        "rule": "logits 被读取两次：一次在减法里，一次在取每行最大值时。",
        "formula": "dnorm_logits，再在每行最大值的位置加上 dlogit_maxes。",
        "why": "取最大值时，梯度传给被取到的那个元素，其他元素没有影响。这个分支几乎"
        "为零，但它仍是一个分支：若在 norm_logits 之后换一个损失，它就不为零了。",
    },
    "h": {
        "rule": "矩阵乘积 h @ W：dh = upstream @ W.T，形状上只有这一种配法。",
        "formula": "dlogits @ W2.T，即 [n, V] @ [V, H]。",
        "why": "h[i, j] 以权重 W2[j, k] 影响第 i 行的每个 logit k：对 k 求和。",
    },
    "W2": {
        "rule": "矩阵乘积 h @ W：dW = h.T @ upstream，形状上只有这一种配法。",
        "formula": "h.T @ dlogits，即 [H, n] @ [n, V]。",
        "why": "W2[j, k] 被每个样本 i 使用，输入是 h[i, j]：对 i 求和。",
    },
    "b2": {
        "rule": "偏置在批上广播：前向是复制，反向就是求和。",
        "formula": "dlogits 在 n 行上的和。",
        "why": "b2[k] 以斜率 1 加到每个样本的 logit k 上。",
    },
    "hpreact": {
        "rule": "逐元素的函数；tanh' 可以用 tanh 自己的输出来写。",
        "formula": "(1 - h^2) * dh。",
        "why": "d tanh(x)/dx = 1 - tanh(x)^2，用的是 h 而不是 hpreact：输出就在手边。",
    },
    "bngain": {
        "rule": "含有被广播因子的乘积：在各个副本上求和，这里是在各行上。",
        "formula": "bnraw * dhpreact 在 n 行上的和。",
        "why": "同一个增益作用于它那一列的全部 n 个样本。",
    },
    "bnbias": {
        "rule": "偏置在批上广播：前向是复制，反向就是求和。",
        "formula": "dhpreact 在 n 行上的和。",
        "why": "与 b2 相同。",
    },
    "bnraw": {
        "rule": "乘积：另一个因子乘以上游梯度。",
        "formula": "bngain * dhpreact。",
        "why": "bnraw 本身就是 [n, H]，所以没有复制，也就不求和。",
    },
    "bnvar_inv": {
        "rule": "含有被广播因子的乘积：在各个副本上求和，这里是在各行上。",
        "formula": "bndiff * dbnraw 在 n 行上的和，保持为一行 [1, H]。",
        "why": "同一个标准差的倒数作用于它那一列的全部 n 个样本。",
    },
    "bnvar": {
        "rule": "幂函数的求导法则，逐元素。",
        "formula": "-1/2 * (bnvar + 1e-5)^(-3/2) * dbnvar_inv。",
        "why": "d(x + eps)^(-1/2) = -1/2 (x + eps)^(-3/2) dx。",
    },
    "bndiff2": {
        "rule": "前向是带系数的求和，反向就是带系数的复制。",
        "formula": "dbnvar / (n - 1)，复制到全部 n 行。",
        "why": "每个偏差的平方以 1/(n - 1) 的比例计入方差：这是贝塞尔校正，论文里用的是"
        " 1/n。批大小为一时，这里是 0/0，其后全是 NaN：所以检查所用的批大小至少是二。",
    },
    "bndiff": {
        "rule": "bndiff 被读取两次：一次被 bnraw，一次被它自己的平方。",
        "formula": "bnvar_inv * dbnraw + 2 * bndiff * dbndiff2。",
        "why": "第一个分支是缩放；第二个分支说明 bndiff 怎样改变方差。",
    },
    "bnmeani": {
        "rule": "差 a - b，其中 b 被广播：db 是在各个副本上求和，再取负。",
        "formula": "dbndiff 在 n 行上的和取负，保持为一行 [1, H]。",
        "why": "全部 n 个样本的同一列减去同一个均值；要用 keepdims，否则形状是 [H]，而"
        "均值是 [1, H]，广播会掩盖这个差别。",
    },
    "hprebn": {
        "rule": "hprebn 被读取两次：一次在减法里，一次在求均值时。",
        "formula": "dbndiff + dbnmeani / n，均值那部分复制到全部 n 行。",
        "why": "每个元素以 1/n 的比例计入均值。两个分支合起来就是减去均值：dhprebn 的每"
        "一列之和为零。",
    },
    "embcat": {
        "rule": "矩阵乘积 x @ W：dx = upstream @ W.T。",
        "formula": "dhprebn @ W1.T，即 [n, H] @ [H, TE]。",
        "why": "与 h 相同。",
    },
    "W1": {
        "rule": "矩阵乘积 x @ W：dW = x.T @ upstream。",
        "formula": "embcat.T @ dhprebn，即 [TE, n] @ [n, H]。",
        "why": "与 W2 相同。",
    },
    "b1": {
        "rule": "偏置在批上广播：前向是复制，反向就是求和。",
        "formula": "dhprebn 在 n 行上的和。",
        "why": "除舍入误差外它等于零：批归一化减去每一列的均值，b1 也随之消失，所以任何"
        " b1 都不会改变损失。它的作用由 bnbias 承担。",
    },
    "emb": {
        "rule": "改变形状并不移动任何数：把形状改回去即可。",
        "formula": "把 dembcat 变成 emb 的形状。",
        "why": "emb 和 embcat 含有相同的数，顺序也相同。",
    },
    "C": {
        "rule": "索引读取若干行；反向时，每一行收到各个读取者传回的梯度。",
        "formula": "对每个位置 [k, j]：把 demb[k, j] 加到全零的 [V, E] 的第 Xb[k, j] 行。",
        "why": "被多次读取的行收到的是所有梯度之和，所以用 `add`：`set` 只会留下最后"
        "一个。",
    },
}
