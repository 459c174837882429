"""English."""

from jaxninja.workbook.texts.en import importing, refusals, sentences

SENTENCES = sentences.SENTENCES | refusals.SENTENCES | importing.SENTENCES
