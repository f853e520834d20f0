"""Tables: from answers to accuracies, their intervals, and the difference a selection makes."""
