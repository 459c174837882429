"""Chinese, simplified."""

from jaxninja.workbook.texts.zh import importing, refusals, sentences

SENTENCES = sentences.SENTENCES | refusals.SENTENCES | importing.SENTENCES
