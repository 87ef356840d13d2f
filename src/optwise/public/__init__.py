"""The verbs as everybody calls them: names stand where objects do, and progress is shown where somebody looks."""
