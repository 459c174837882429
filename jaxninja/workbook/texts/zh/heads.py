"""Exercises 1 to 4 in Chinese: a few words on each, and the head of its file.

The English head is the docstring of the worked solution.
"""

TITLES = {
    1: "逐节点的计算图",
    2: "交叉熵：一个表达式",
    3: "批归一化：一个表达式",
    4: "合为一体",
}

HEADS = {
    1: """练习 1：沿着网络的计算图，逐个节点做反向传播。

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
""",
    2: """练习 2：用一个表达式写出交叉熵的梯度（1:26:31）。

练习 1 从损失到 logits 走了八步。现在把损失看作一个公式：

    loss = 各行 log(sum_j exp(logits_j)) - logits_y 的平均值

用纸笔对它求导，几乎所有的项都会消去。
""",
    3: """练习 3：用一个表达式写出批归一化的梯度（1:36:37）。

练习 1 从 hpreact 到 hprebn 走了七步。现在把它们看作一个公式：

    bnraw = (hprebn - mean) / sqrt(var + 1e-5),   var = sum (hprebn - mean)^2 / (n - 1)
    hpreact = bngain * bnraw + bnbias

用给定的 dhpreact 写出 dhprebn。注意贝塞尔校正。
""",
    4: """练习 4：合为一体（1:50:02）。

完整的反向传播，其中包含练习 2 和练习 3：用这个函数来训练网络。

    jaxninja train --route exercise4.py --data makemore

会在每一步调用它来得到七个参数的梯度，并证明其中没有用到自动微分。
`backward` 可以按名字索取前向传播的任何数组，就像下面这样；没有索取的数组无需保存。
用练习 1 的函数也可以，只是更长、更慢。
""",
}
