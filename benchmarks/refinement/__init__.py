"""A judge of judges: what refining makes of expression anchors, by how often the judge is right and in which way it errs.

The judge is simulated: it knows the labels and errs at a given rate, so that the policy is measured and not a model. Everything between
is the pipeline's own: candidates as `select` leaves them, questions, client, verdicts, and what becomes of them.
"""
