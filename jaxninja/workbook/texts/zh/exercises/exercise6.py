"""Exercise 6 in Chinese: `workbook.solutions.exercise6` has the English."""
# ruff: noqa: E501  (it counts a Chinese letter as two)

TITLE = "沿三个时间步展开的 GRU"

HEAD = """练习 6：门控循环单元（GRU），以及它沿三个时间步的梯度。

每一步由输入 x [n, E] 和状态 h [n, H] 得到新的状态，其间有两个门：更新门 z 和重置门 r。

    az = x @ Wz + h @ Uz + bz               z = jax.nn.sigmoid(az)
    ar = x @ Wr + h @ Ur + br               r = jax.nn.sigmoid(ar)
    rh = r * h
    ac = x @ Wc + rh @ Uc + bc              c = jnp.tanh(ac)
    h  = (1 - z) * h + z * c                以上都是 [n, H]

三步依次进行：从 h0 开始，读入 x1、x2、x3，得到 h1、h2、h3，用的是同一组权重。
三个状态都要用到：y 由 h1、h2、h3 堆叠而成，是 [3, n, H]，dy 已经给定。第 3 步要逐个
数组求梯度；第 2 步和第 1 步只求权重和前一步所需的梯度，每个的表达式也就长一些。也可以
自己写一个函数来算其中一步。最后是权重：每一步都用到的量，收到的是各步传回的梯度之和。

sigmoid' 是 s (1 - s)，tanh' 是 1 - tanh^2。尺寸：n 批大小，E 输入维度，H 隐藏单元数。
"""

LESSONS = {
    "h3": {
        "rule": "stack 把几个数组并排放在一起：它的梯度的各个部分，就是这些数组的梯度。",
        "formula": "dy 的三个部分中的最后一个。",
        "why": "第 3 步之后没有别的步：它的状态只被 y 读取。",
    },
    "c3": {
        "rule": "乘积 z * c：另一个因子乘以上游梯度。",
        "formula": "z3 * dh3。",
        "why": "门写入了多少，就让多少梯度通过：z 为 0 的地方，新的 c 不起作用。",
    },
    "ac3": {
        "rule": "逐元素的函数；tanh' 可以用 tanh 自己的输出来写。",
        "formula": "(1 - c3^2) * dc3。",
        "why": "d tanh(a)/da = 1 - tanh(a)^2，而 c3 已经是这个 tanh。",
    },
    "rh3": {
        "rule": "矩阵乘积 rh @ Uc：upstream @ Uc.T。",
        "formula": "dac3 @ Uc.T，即 [n, H] @ [H, H]。",
        "why": "rh3[i, j] 以权重 Uc[j, k] 影响 ac3 的每个单元 k。Uc 是方阵，从形状分不出 Uc "
        "和 Uc.T：求和是在 ac3 的各个单元上。",
    },
    "r3": {
        "rule": "乘积 r * h：另一个因子乘以上游梯度。",
        "formula": "h2 * drh3，其中 h2 是第 3 步开始时的状态。",
        "why": "r3 决定候选状态能看到多少 h2。",
    },
    "ar3": {
        "rule": "逐元素的函数；sigmoid' 可以用 sigmoid 自己的输出来写。",
        "formula": "r3 * (1 - r3) * dr3。",
        "why": "d sigmoid(a)/da = s (1 - s)，最大是 1/4；门接近全开或全关时，它接近 0。",
    },
    "z3": {
        "rule": "z 被读取两次：一次被 (1 - z) * h，一次被 z * c。这里把两者合在一起。",
        "formula": "(c3 - h2) * dh3。",
        "why": "z 越大，旧的 h 就越多地被新的 c 取代：起作用的是两者之差。",
    },
    "az3": {
        "rule": "逐元素的函数；sigmoid' 可以用 sigmoid 自己的输出来写。",
        "formula": "z3 * (1 - z3) * dz3。",
        "why": "与 ar3 相同。",
    },
    "h2": {
        "rule": "h2 被读取五次：一次被 y，四次在第 3 步中。",
        "formula": "dy 的中间那部分、(1 - z3) * dh3、r3 * drh3、dar3 @ Ur.T 和 daz3 @ Uz.T，"
        "全部相加。",
        "why": "第一项是第 2 步自己收到的；第二项绕过了门，梯度正是由这条直通的路径才得以长久"
        "不消失；后三项分别经过候选状态和两个门。",
    },
    "ac2": {
        "rule": "与第 3 步一样，经过 c：先是门 z，再是 tanh。",
        "formula": "(1 - c2^2) * z2 * dh2。",
        "why": "dc2 = z2 * dh2，再乘以 tanh'；dh2 中已经含有其后各步的梯度。",
    },
    "ar2": {
        "rule": "与第 3 步一样，经过 rh 和 r：先是与 Uc 的乘积，再是 h，再是 sigmoid。",
        "formula": "r2 * (1 - r2) * h1 * (dac2 @ Uc.T)。",
        "why": "drh2 = dac2 @ Uc.T，dr2 = h1 * drh2，再乘以 sigmoid'。",
    },
    "az2": {
        "rule": "与第 3 步一样，经过 z：先是新旧之差，再是 sigmoid。",
        "formula": "z2 * (1 - z2) * (c2 - h1) * dh2。",
        "why": "dz2 = (c2 - h1) * dh2，再乘以 sigmoid'。",
    },
    "h1": {
        "rule": "与 h2 一样：y、绕过门的路径、候选状态、两个门。",
        "formula": "dy 的第一部分、(1 - z2) * dh2、r2 * (dac2 @ Uc.T)、dar2 @ Ur.T 和 daz2 @ "
        "Uz.T，全部相加。",
        "why": "往回的每一步都是同样的几行，只是数不同，所以训练时用循环来算。dh2 带着第 3 步"
        "传回的梯度。",
    },
    "ac1": {
        "rule": "与第 3 步一样，经过 c：先是门 z，再是 tanh。",
        "formula": "(1 - c1^2) * z1 * dh1。",
        "why": "dc1 = z1 * dh1，再乘以 tanh'；dh1 中已经含有其后各步的梯度。",
    },
    "ar1": {
        "rule": "与第 3 步一样，经过 rh 和 r：先是与 Uc 的乘积，再是 h，再是 sigmoid。",
        "formula": "r1 * (1 - r1) * h0 * (dac1 @ Uc.T)。",
        "why": "drh1 = dac1 @ Uc.T，dr1 = h0 * drh1，再乘以 sigmoid'。",
    },
    "az1": {
        "rule": "与第 3 步一样，经过 z：先是新旧之差，再是 sigmoid。",
        "formula": "z1 * (1 - z1) * (c1 - h0) * dh1。",
        "why": "dz1 = (c1 - h0) * dh1，再乘以 sigmoid'。",
    },
    "h0": {
        "rule": "与 h2 一样，只是 y 不读取它。",
        "formula": "(1 - z1) * dh1、r1 * (dac1 @ Uc.T)、dar1 @ Ur.T 和 daz1 @ Uz.T，全部相加。",
        "why": "第一步之前的状态是给定的，或是学出来的；y 中没有它。",
    },
    "Wz": {
        "rule": "一个矩阵由三步共用：每一步都是 x.T @ upstream，相加。",
        "formula": "x3.T @ daz3 + x2.T @ daz2 + x1.T @ daz1。",
        "why": "每个时间步都用到的量，收到的是各步传回的梯度之和，正如偏置收到的是各个样本的"
        "梯度之和。沿时间的反向传播（BPTT）不过如此。",
    },
    "Uz": {
        "rule": "一个矩阵由三步共用：每一步都是与它相乘的那个量的转置 @ upstream，相加。",
        "formula": "h2.T @ daz3 + h1.T @ daz2 + h0.T @ daz1。",
        "why": "在第 t 步，与它相乘的是第 t - 1 步的状态。",
    },
    "bz": {
        "rule": "偏置在批上广播，三步都是如此：对批和各步都求和。",
        "formula": "daz3、daz2 和 daz1 各自在 n 行上的和，再相加。",
        "why": "bz 以斜率 1 加到每一步的每一行上。",
    },
    "Wr": {
        "rule": "一个矩阵由三步共用：每一步都是 x.T @ upstream，相加。",
        "formula": "x3.T @ dar3 + x2.T @ dar2 + x1.T @ dar1。",
        "why": "每个时间步都用到的量，收到的是各步传回的梯度之和，正如偏置收到的是各个样本的"
        "梯度之和。沿时间的反向传播（BPTT）不过如此。",
    },
    "Ur": {
        "rule": "一个矩阵由三步共用：每一步都是与它相乘的那个量的转置 @ upstream，相加。",
        "formula": "h2.T @ dar3 + h1.T @ dar2 + h0.T @ dar1。",
        "why": "在第 t 步，与它相乘的是第 t - 1 步的状态。",
    },
    "br": {
        "rule": "偏置在批上广播，三步都是如此：对批和各步都求和。",
        "formula": "dar3、dar2 和 dar1 各自在 n 行上的和，再相加。",
        "why": "br 以斜率 1 加到每一步的每一行上。",
    },
    "Wc": {
        "rule": "一个矩阵由三步共用：每一步都是 x.T @ upstream，相加。",
        "formula": "x3.T @ dac3 + x2.T @ dac2 + x1.T @ dac1。",
        "why": "每个时间步都用到的量，收到的是各步传回的梯度之和，正如偏置收到的是各个样本的"
        "梯度之和。沿时间的反向传播（BPTT）不过如此。",
    },
    "Uc": {
        "rule": "一个矩阵由三步共用：每一步都是与它相乘的那个量的转置 @ upstream，相加。",
        "formula": "rh3.T @ dac3 + rh2.T @ dac2 + rh1.T @ dac1。",
        "why": "与 Uc 相乘的是 rh，即 r 所放行的状态。",
    },
    "bc": {
        "rule": "偏置在批上广播，三步都是如此：对批和各步都求和。",
        "formula": "dac3、dac2 和 dac1 各自在 n 行上的和，再相加。",
        "why": "bc 以斜率 1 加到每一步的每一行上。",
    },
}
