"""Regression at every cell of a grid (channel x time, or channel x frequency): design, least squares, bootstrap."""
