"""The figures of the lessons: rows of data (tested), and thin functions that draw them."""
