"""A noisy two-class problem in the plane, for six ways of training."""
