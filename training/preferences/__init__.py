"""Preference data: from trajectories of any source to balanced pairs in four shapes."""
