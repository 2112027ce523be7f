"""Check boxes and switches beside the texts of a page. Pixels and quadrilaterals; knows no text."""
