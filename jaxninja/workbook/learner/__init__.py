"""What becomes of a workbook in time: to do it again, and a page to keep."""
