"""From a learner's code to a verdict on each gradient."""
