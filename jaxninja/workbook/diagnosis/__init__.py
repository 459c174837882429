"""Why a learner's gradient is wrong, in the words of the lecture."""
