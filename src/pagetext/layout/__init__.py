"""From quadrilaterals to columns, rows and cells in reading order: geometry with numpy alone."""
