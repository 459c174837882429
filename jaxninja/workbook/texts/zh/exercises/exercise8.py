"""Exercise 8 in Chinese: `workbook.solutions.exercise8` has the English."""
# ruff: noqa: E501  (it counts a Chinese letter as two)

TITLE = "可用于训练的 Transformer 块"

HEAD = """练习 8：一个完整的 Transformer 块，而且可以用来训练。

    x -> 层归一化 a -> 注意力 -> + x = x2 -> 层归一化 m -> MLP -> + x2 = y

    ahat = (x - mean_a) * rstd_a;  a = gamma_a * ahat + beta_a        [n, T, E]
    qkv  = a @ Wqkv + bqkv                                            [n, T, 3E]
    q, k, v：它的三个部分，各 E 个数，分成 H 个头                     [n, H, T, K]
    z    = q @ k.mT / K**0.5;  p = jax.nn.softmax(where seen, z)      [n, H, T, T]
    o    = p @ v                                                      [n, H, T, K]
    c    = o.swapaxes(1, 2).reshape(n, T, E)：各个头并排              [n, T, E]
    x2   = x + c @ Wo + bo                                            [n, T, E]
    mhat = (x2 - mean_m) * rstd_m;  m = gamma_m * mhat + beta_m       [n, T, E]
    f    = m @ Wf + bf                                                [n, T, 4E]
    s    = jax.nn.sigmoid(1.5957691216057308 * (f + 0.044715 * f**3)) [n, T, 4E]
    h    = f * s                                                      [n, T, 4E]
    y    = x2 + h @ Wp + bp                                           [n, T, E]

h 是 tanh 形式的 gelu(f)，因为 1 + tanh(u) = 2 sigmoid(2 u)。层归一化和 softmax 各用
一个表达式写出：练习 5 和练习 7 中有它们的每一步。尺寸：n 批大小，T 位置数，E 嵌入维度，
H 头数，K = E / H 每个头的宽度；它们都可以按名字索取。`backward` 是一个块的反向传播，
可以训练任意多个块：

    jaxninja train --model transformer --route exercise8.py

会在每一步为每一层调用它，并证明其中没有用到自动微分。
"""

LESSONS = {
    "h": {
        "rule": "矩阵乘积 h @ W：dh = upstream @ W.T。",
        "formula": "dy @ Wp.T，即 [n, T, E] @ [E, 4E]。",
        "why": "MLP 加到残差流上的是 h @ Wp + bp，所以它收到整个 dy。",
    },
    "Wp": {
        "rule": "每个样本都有矩阵乘积：h.mT @ upstream，再对各个样本求和。",
        "formula": "h.mT @ dy 在 n 个样本上的和。",
        "why": "所有样本和位置共用一个 Wp；@ 已经在各个位置上求了和。",
    },
    "bp": {
        "rule": "偏置在样本和位置上广播：对两者都求和。",
        "formula": "dy 在 n 个样本和 T 个位置上的和。",
        "why": "bp[j] 以斜率 1 加到每个位置的特征 j 上。",
    },
    "f": {
        "rule": "乘积 f * s，其中 s 又是 f 的 sigmoid：有两项。",
        "steps": (
            "由乘积：直接的一项是 s * dh，另外 ds = f * dh。",
            "s = sigmoid(u)，其中 u = 1.5957... * (f + 0.044715 f^3)：ds/du = s (1 - s)，"
            "du/df = 1.5957... * (1 + 0.134145 f^2)。",
            "f * s 就是 h，已在手边：ds/df * f = h * (1 - s) * du/df。",
        ),
        "formula": "(s + h * (1 - s) * 1.5957691216057308 * (1 + 0.134145 * f^2)) * dh。",
        "why": "gelu 以 s 的比例让 f 通过，而 f 又改变 s：这就是乘积的求导法则。",
    },
    "Wf": {
        "rule": "每个样本都有矩阵乘积：m.mT @ upstream，再对各个样本求和。",
        "formula": "m.mT @ df 在 n 个样本上的和。",
        "why": "与 Wp 相同。",
    },
    "bf": {
        "rule": "偏置在样本和位置上广播：对两者都求和。",
        "formula": "df 在 n 个样本和 T 个位置上的和。",
        "why": "与 bp 相同。",
    },
    "m": {
        "rule": "矩阵乘积 m @ W：dm = upstream @ W.T。",
        "formula": "df @ Wf.T，即 [n, T, 4E] @ [4E, E]。",
        "why": "m[i, t, j] 影响它所在位置的全部 4E 个数。",
    },
    "gamma_m": {
        "rule": "因子在样本和位置上广播：对两者都求和。",
        "formula": "mhat * dm 在 n 个样本和 T 个位置上的和。",
        "why": "同一个 gamma 作用于每个样本、每个位置上它的那个特征。",
    },
    "beta_m": {
        "rule": "偏置在样本和位置上广播：对两者都求和。",
        "formula": "dm 在 n 个样本和 T 个位置上的和。",
        "why": "与 bp 相同。",
    },
    "mhat": {
        "rule": "乘积：另一个因子乘以上游梯度。",
        "formula": "gamma_m * dm。",
        "why": "mhat 本身就是 [n, T, E]，所以没有复制，也就不求和。",
    },
    "x2": {
        "rule": "x2 被读取两次：一次原样进入 y，一次进入层归一化：两个分支。",
        "steps": (
            "经过 y：就是 dy 本身。块只往残差流上加一项，残差流自己并不穿过块。",
            "经过层归一化，也就是写成一个表达式的练习 5：从 dmhat 中减去它在该行的均值，再减去"
            "它沿 mhat 的分量，即 dmhat * mhat 的均值乘以 mhat。",
            "再全部乘以 rstd_m；均值都是在 E 个特征上，保持为 [n, T, 1]。",
        ),
        "formula": "dy + rstd_m * (dmhat - mean(dmhat) - mhat * mean(dmhat * mhat))。",
        "why": "第一个分支是残差流：梯度沿着它毫无衰减地到达第一个块。第二个分支是 MLP 的输入"
        "所起的作用。",
    },
    "c": {
        "rule": "矩阵乘积 c @ W：dc = upstream @ W.T。",
        "formula": "dx2 @ Wo.T，即 [n, T, E] @ [E, E]。",
        "why": "Wo 是方阵，从形状分不出 Wo 和 Wo.T：求和是在 x2 的各个特征上。而且这里是两个"
        "分支都已加上的 dx2，不是 dy。",
    },
    "Wo": {
        "rule": "每个样本都有矩阵乘积：c.mT @ upstream，再对各个样本求和。",
        "formula": "c.mT @ dx2 在 n 个样本上的和。",
        "why": "与 Wp 相同。",
    },
    "bo": {
        "rule": "偏置在样本和位置上广播：对两者都求和。",
        "formula": "dx2 在 n 个样本和 T 个位置上的和。",
        "why": "与 bp 相同。",
    },
    "o": {
        "rule": "改变形状和交换轴都不改变任何数：把两者都还原，最后做的最先还原。",
        "formula": "把 dc 变成形状 [n, T, H, K]，再交换轴 1 和轴 2。",
        "why": "每个头是 E 个特征中相邻的 K 个。若直接 reshape 成 [n, H, T, K]，形状是对的，"
        "数的位置却不对。",
    },
    "p": {
        "rule": "两个数组的矩阵乘积：dp = upstream @ v.mT。",
        "formula": "do @ v.mT，逐个头相乘。",
        "why": "就是练习 7 的 datt：每个回答沿该位置应当收到的方向有多大的分量。",
    },
    "v": {
        "rule": "两个数组的矩阵乘积：dv = p.mT @ upstream。",
        "formula": "p.mT @ do，逐个头相乘。",
        "why": "就是练习 7 的 dv：作答的位置收到所有看它的位置传回的梯度。",
    },
    "z": {
        "rule": "练习 7.masked：softmax 使一行中的每个元素都依赖于其余所有元素。",
        "formula": "p * (dp - sum)，其中 sum 是 p * dp 沿最后一轴的和，并保留这个轴。",
        "why": "z 被掩码遮住的地方 p 是 0，dz 也就是 0：掩码不需要单独的一行。",
    },
    "q": {
        "rule": "矩阵乘积 q @ k.mT：dq = upstream @ k；缩放系数不变。",
        "formula": "dz @ k / sqrt(K)。",
        "why": "一个位置的查询与它所看的所有位置的键相乘。",
    },
    "k": {
        "rule": "矩阵乘积 q @ k.mT：dk = upstream.mT @ q；缩放系数不变。",
        "formula": "dz.mT @ q / sqrt(K)。",
        "why": "一个位置的键与所有看它的位置的查询相乘。",
    },
    "qkv": {
        "rule": "三个部分并排：把它们的梯度也并排放好，并还原各个头。",
        "formula": "把 dq、dk、dv 沿头的轴依次拼接；再交换轴 1 和轴 2；再变成 [n, T, 3E]。",
        "why": "qkv 的前 E 个数是 q，接着是 k，最后是 v，每部分有 H 个头。",
    },
    "Wqkv": {
        "rule": "每个样本都有矩阵乘积：a.mT @ upstream，再对各个样本求和。",
        "formula": "a.mT @ dqkv 在 n 个样本上的和。",
        "why": "与 Wp 相同。",
    },
    "bqkv": {
        "rule": "偏置在样本和位置上广播：对两者都求和。",
        "formula": "dqkv 在 n 个样本和 T 个位置上的和。",
        "why": "与 bp 相同。其中键的那部分结果为零：给一行的所有分数加上同一个数，softmax "
        "不变。",
    },
    "a": {
        "rule": "矩阵乘积 a @ W：da = upstream @ W.T。",
        "formula": "dqkv @ Wqkv.T，即 [n, T, 3E] @ [3E, E]。",
        "why": "练习 7 中经过 q、k 和 v 的三个分支，在这里是一个乘积。",
    },
    "gamma_a": {
        "rule": "因子在样本和位置上广播：对两者都求和。",
        "formula": "ahat * da 在 n 个样本和 T 个位置上的和。",
        "why": "与 gamma_m 相同。",
    },
    "beta_a": {
        "rule": "偏置在样本和位置上广播：对两者都求和。",
        "formula": "da 在 n 个样本和 T 个位置上的和。",
        "why": "与 bp 相同。",
    },
    "ahat": {
        "rule": "乘积：另一个因子乘以上游梯度。",
        "formula": "gamma_a * da。",
        "why": "与 mhat 相同。",
    },
    "x": {
        "rule": "x 被读取两次：一次原样进入 x2，一次进入层归一化，与 x2 的情形一样。",
        "formula": "dx2 + rstd_a * (dahat - mean(dahat) - ahat * mean(dahat * ahat))。",
        "why": "还是残差流，以及注意力的输入所起的作用。这个 dx 就是前一个块的 dy。",
    },
}
