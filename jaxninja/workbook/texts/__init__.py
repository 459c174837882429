"""What a learner reads, by key, in each language.

A sentence is `SENTENCES[key]` of `en` and `zh`. The hints' English is in
`workbook.hints`, that of the lessons in the worked solutions, above each gradient.
"""
