"""Exercise 5 in Chinese: `workbook.solutions.exercise5` has the English."""
# ruff: noqa: E501  (it counts a Chinese letter as two)

TITLE = "层归一化"

HEAD = """练习 5：层归一化的反向传播。

批归一化在各个样本上求均值和方差，层归一化则在每个位置的各个特征上求：
每一行 x[i, t] 单独归一化，gamma 和 beta 由所有的行共用。

    mean  = 1 / D * x.sum(2, keepdims=True)         [n, T, 1]
    diff  = x - mean                                [n, T, D]
    diff2 = diff**2                                 [n, T, D]
    var   = 1 / D * diff2.sum(2, keepdims=True)     [n, T, 1]
    rstd  = (var + 1e-5) ** -0.5                    [n, T, 1]
    xhat  = diff * rstd                             [n, T, D]
    y     = gamma * xhat + beta                     [n, T, D]

方差除以的是 D，没有贝塞尔校正，所有的 Transformer 都是如此。dy 是后面的计算传回的
梯度，已经给定；它没有会掩盖错误的规律。
尺寸：n 批大小，T 位置数，D 特征数。请留意每个求和沿的是哪些轴。
"""

LESSONS = {
    "gamma": {
        "rule": "因子在样本和位置上广播：对两者都求和。",
        "formula": "xhat * dy 在 n 个样本和 T 个位置上的和。",
        "why": "同一个 gamma 作用于它那个特征的全部 n T 行：被多次使用的量，收到的是各次"
        "使用传回的梯度之和。",
    },
    "beta": {
        "rule": "偏置在样本和位置上广播：对两者都求和。",
        "formula": "dy 在 n 个样本和 T 个位置上的和。",
        "why": "beta[k] 以斜率 1 加到每一行的特征 k 上。",
    },
    "xhat": {
        "rule": "乘积：另一个因子乘以上游梯度。",
        "formula": "gamma * dy。",
        "why": "xhat 本身就是 [n, T, D]，所以没有复制，也就不求和。",
    },
    "rstd": {
        "rule": "含有被广播因子的乘积：在各个副本上求和，这里是在各个特征上。",
        "formula": "diff * dxhat 在 D 个特征上的和，保持为 [n, T, 1]。",
        "why": "同一个标准差的倒数作用于它那一行的所有特征。在批归一化中它作用于一列：代数"
        "相同，只是换了一个轴。",
    },
    "var": {
        "rule": "幂函数的求导法则，逐元素。",
        "formula": "-1/2 * (var + 1e-5)^(-3/2) * drstd。",
        "why": "d(v + eps)^(-1/2) = -1/2 (v + eps)^(-3/2) dv，而 (v + eps)^(-3/2) 就是 rstd^3。",
    },
    "diff2": {
        "rule": "前向是带系数的求和，反向就是带系数的复制。",
        "formula": "dvar / D，复制到全部 D 个特征。",
        "why": "每个偏差的平方以 1/D 的比例计入它那一行的方差。",
    },
    "diff": {
        "rule": "diff 被读取两次：一次被 xhat，一次被它自己的平方。",
        "formula": "rstd * dxhat + 2 * diff * ddiff2。",
        "why": "第一个分支是缩放；第二个分支说明 diff 怎样改变方差，dx 由此失去沿 xhat 方向"
        "的分量。",
    },
    "mean": {
        "rule": "差 a - b，其中 b 被广播：db 是在各个副本上求和，再取负。",
        "formula": "ddiff 在 D 个特征上的和取负，保持为 [n, T, 1]。",
        "why": "一行的所有特征减去同一个均值。",
    },
    "x": {
        "rule": "x 被读取两次：一次在减法里，一次在求均值时。",
        "formula": "ddiff + dmean / D，来自 mean 的那部分复制到全部 D 个特征。",
        "why": "每个元素以 1/D 的比例计入均值。把各步合起来，dx 就是 rstd * (dxhat - "
        "mean(dxhat) - xhat * mean(dxhat * xhat))，其中 mean 是一行的平均：剩下的部分没有沿"
        "全 1 向量的分量，沿 xhat 的分量也几乎为零。这个捷径留到练习 8 再用；这里的 dx 要由 "
        "ddiff 和 dmean 得来。",
    },
}
