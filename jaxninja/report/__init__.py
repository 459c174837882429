"""A run, or several beside each other, as one HTML file that needs nothing else.

`gather` reads what is there, `verdicts` judges, `figures` draws, `page` writes it.
"""

from jaxninja.report.finding import Finding
from jaxninja.report.gathered import Gathered, gather
from jaxninja.report.render import page
from jaxninja.report.verdicts import findings

__all__ = ["Finding", "Gathered", "findings", "gather", "page"]
