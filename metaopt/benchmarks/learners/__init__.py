"""Meta-learners on the field's own sanity problems, and on recorded histories."""
