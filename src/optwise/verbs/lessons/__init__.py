"""The figures of the lessons: what each computes, and the gallery that names them."""
