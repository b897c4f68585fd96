"""Staying signed in: one record per sign-in, with its refresh generation."""
