"""Exercise 7 in Chinese: `workbook.solutions.exercise7` has the English."""
# ruff: noqa: E501  (it counts a Chinese letter as two)

TITLE = "因果自注意力"

HEAD = """练习 7：因果自注意力的反向传播。

每个位置都发问（查询 q）、被问（键 k）、作答（值 v）。att 的第 t 行说明位置 t 从自己和
它之前的每个位置各取多少；在它之后的用掩码遮住，因为那正是要预测的。

    q, k, v = x @ Wq, x @ Wk, x @ Wv                [n, T, K]
    scores  = q @ k.mT / K**0.5                     [n, T, T]
    masked  = jnp.where(seen, scores, -jnp.inf)     [n, T, T]
    att     = jax.nn.softmax(masked, 2)             [n, T, T]
    mixed   = att @ v                               [n, T, K]
    y       = mixed @ Wo                            [n, T, D]

seen [T, T] 在位置 t（行）可以看位置 s（列）的地方为 True，也就是 s <= t。a.mT 是最后
两个轴的转置；@ 逐个样本相乘。dy 已经给定。尺寸：n 批大小，T 位置数，D 特征数，K 头的
宽度。最值得花时间的是 softmax 的梯度：它若有错，检查时会画出它的雅可比矩阵，并标出
哪些位置之间的导数是错的。
"""

LESSONS = {
    "Wo": {
        "rule": "每个样本都有矩阵乘积 a @ W：a.mT @ upstream，而 W 是共用的。",
        "formula": "mixed.mT @ dy 在 n 个样本上的和，即 [n, K, T] @ [n, T, D]。",
        "why": "所有样本和位置共用一个 Wo；@ 已经在各个位置上求了和，剩下的是在各个样本上"
        "求和。",
    },
    "mixed": {
        "rule": "矩阵乘积 a @ W：da = upstream @ W.T，形状上只有这一种配法。",
        "formula": "dy @ Wo.T，即 [n, T, D] @ [D, K]。",
        "why": "mixed[i, t, k] 以权重 Wo[k, j] 影响它所在位置的每个特征 j。",
    },
    "att": {
        "rule": "两个数组的矩阵乘积：da = upstream @ b.mT。",
        "formula": "dmixed @ v.mT，即 [n, T, K] @ [n, K, T]。",
        "why": "att[i, t, s] 是回答 v[i, s] 的权重：这个回答沿位置 t 应当收到的方向有多大的"
        "分量，权重就有多大的作用。",
    },
    "v": {
        "rule": "两个数组的矩阵乘积：db = a.mT @ upstream。",
        "formula": "att.mT @ dmixed，即 [n, T, T] @ [n, T, K]。",
        "why": "位置 s 的回答被所有看它的位置 t 读取；每个 t 把自己收到的梯度乘以 "
        "att[i, t, s]，再传回来。",
    },
    "masked": {
        "rule": "softmax 使一行中的每个元素都依赖于其余所有元素：要对整行求和。",
        "steps": (
            "取一行，p = softmax(l)。把 p_j = exp(l_j) / sum 对 l_k 求导：dp_j/dl_k = "
            "p_j * (j = k 时为 1，否则为 0) - p_j * p_k。",
            "这就是该行的雅可比矩阵 diag(p) - p p^T：它是对称的，每一行之和为零，因为给 l "
            "的所有元素加上同一个数，什么也不会变。",
            "把它与上游梯度相乘：dl_k = sum_j dp_j * J_jk = p_k * dp_k - p_k * sum_j p_j * "
            "dp_j。",
        ),
        "formula": "att * (datt - sum)，其中 sum 是 att * datt 对 s 的和，保持为 [n, T, 1]。",
        "why": "从传回的梯度中减去它在该行上以 att 为权的平均：一个位置多了，其他位置就少了。"
        "T 乘 T 的雅可比矩阵从不需要真正算出来。",
    },
    "scores": {
        "rule": "where 把梯度传给它所选中的，其余的什么也收不到。",
        "formula": "seen 为 True 处是 dmasked，其余位置是 0。",
        "why": "被掩码遮住的分数到不了 att。softmax 传回那里的梯度已经是 0，因为那里的 att "
        "是 0；但这一步本身也必须如此，无论后面接的是什么。",
    },
    "q": {
        "rule": "矩阵乘积 q @ k.mT：dq = upstream @ k；缩放系数不变。",
        "formula": "dscores @ k / sqrt(K)，即 [n, T, T] @ [n, T, K]。",
        "why": "scores[i, t, s] 是 q[t, k] k[s, k] 对 k 的和：位置 t 的查询与所有位置 s 的键"
        "相乘。",
    },
    "k": {
        "rule": "矩阵乘积 q @ k.mT：dk = upstream.mT @ q；缩放系数不变。",
        "formula": "dscores.mT @ q / sqrt(K)，即 [n, T, T] @ [n, T, K]。",
        "why": "位置 s 的键与所有位置 t 的查询相乘：求和是在各行上，所以要转置，而 dq 不用。",
    },
    "Wq": {
        "rule": "每个样本都有矩阵乘积 x @ W：x.mT @ upstream，再对各个样本求和。",
        "formula": "x.mT @ dq 在 n 个样本上的和。",
        "why": "与 Wo 相同。",
    },
    "Wk": {
        "rule": "每个样本都有矩阵乘积 x @ W：x.mT @ upstream，再对各个样本求和。",
        "formula": "x.mT @ dk 在 n 个样本上的和。",
        "why": "与 Wo 相同。",
    },
    "Wv": {
        "rule": "每个样本都有矩阵乘积 x @ W：x.mT @ upstream，再对各个样本求和。",
        "formula": "x.mT @ dv 在 n 个样本上的和。",
        "why": "与 Wo 相同。",
    },
    "x": {
        "rule": "x 被读取三次，被 q、k 和 v：三个分支，要相加。",
        "formula": "dq @ Wq.T + dk @ Wk.T + dv @ Wv.T。",
        "why": "一个位置的 x 改变时，它问什么、凭什么被问到、答什么，都随之改变。",
    },
}
