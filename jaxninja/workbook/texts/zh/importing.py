"""What a learner reads in Chinese of a notebook that is imported."""
# ruff: noqa: E501  (it counts a Chinese letter as two)

SENTENCES = {
    "imported": "练习 {number}：{of} 个梯度中的 {count} 个 -> {path}",
    "left": "{place}：`{text}` 无法翻译：{why}",
    "place": "单元格 {cell}，第 {line} 行",
    "cell": "单元格 {cell}",
    "from": "译自 {name}，改用 JAX；单元格和行的编号与原文件一致。",
    "no translation": "{place} 无法翻译：{why}",
    "one axis": "笔记本中是 [1, H]，这里是 [H]",
    "one array": "{place}：在 PyTorch 中，{new} = {old} 之后 {new} 和 {old} 是同一个数组，这一行"
    "会同时改变两者：需要 .clone()；JAX 的数组不会改变",
    # why a line has no translation
    "own gradient": "这是 PyTorch 自己算的梯度：这里要求手工推导",
    "no counterpart": "这里没有与 {what} 对应的写法",
    "arguments": "{name}(...) 的参数中有这里不认识的",
    "needed num_classes": "{name}：不写 num_classes 时它取所见的最大下标：请写上 num_classes",
    "needed dim": "{name}：不写 dim 时由 PyTorch 自己选轴：请写上 dim",
    "needed b": "{name}：只有一个参数时它给出的是下标：请写上 b",
    "dtype": "这里不认识类型 {dtype}",
    "keyword": "{name}(..., {keyword}=) 没有对应的写法",
    "flatten": "flatten 的起始轴不是一个数",
    "along": "{name} 沿的轴不是 0 或 1",
    "axis": "轴不是 0 到 2 之间的数",
    "statement": "这类语句（{kind}）不作翻译",
    "together": "{what} 与别的一起赋值：请让它单独占一行",
    "changes besides": "带 _ 的方法还改变了 {name}：请让它单独占一行",
    "nameless": "{what} 被改变了，却没有名字",
    "index of index": "{what}：下标的下标",
    "thrown away": "{what} 在 PyTorch 中是一份拷贝，改了也会丢掉：请用 = 和运算符来写",
    "changes argument": "{function} 改变了它的参数 {name}，而 JAX 的数组不会改变",
    "not Python there": "不是合法的 Python：{why}",
    "not whole": "没有{place}，{name} 就不完整",
    "needs": "它要用到{place}的 {name}",
    # a notebook that is not imported at all
    "wanted": "应为 Colab 保存的笔记本：文件，下载，下载 .ipynb",
    "no notebook": "{path} 不是笔记本：{wanted}",
    "no nbformat": "{path} 不是笔记本（其中没有 nbformat）：{wanted}",
    "other language": "{path} 用的是 {language}，应为 Python 的笔记本",
    "notebook not there": "{path} 不存在",
    "notebook not UTF-8": "{path} 在第 {byte} 个字节处不是 UTF-8：{wanted}",
    "notebook unreadable": "无法读取 {path}：{why}",
    "broken JSON": "{path} 不是笔记本，或者已损坏：其 JSON 在第 {line} 行第 {column} 列出错（{why}）",
    "format": "{path} 的笔记本格式版本是 {version!r}，应为 1 到 4：请另存为较旧的版本",
    "broken notebook": "{path} 是损坏的笔记本（{kind}：{why}）",
    "another notebook": "{path} 是另一个笔记本：应为讲座的笔记本，其前向传播有 {first}、……、{last}；"
    "在它的 {of} 个步骤中，这里只有 {count} 个",
    "no answers": "{path} 中没有答案：没有一行算出练习 1 到 3 的梯度，例如 dlogprobs = ...；请先填一些，"
    "或者用 `jaxninja exercise start` 从这里开始",
    "begun": "{path} 已经开始做了，保持不变：请用 --dir 导入到另一个文件夹，或者先运行 "
    "`jaxninja exercise reset {number}`",
}
