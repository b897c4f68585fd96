"""Manners every door shares."""
