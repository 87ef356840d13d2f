"""Every figure of the report: rows of data (tested), and thin functions that draw them."""
