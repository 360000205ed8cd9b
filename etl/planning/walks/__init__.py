"""Walks through a list: what their pages prove, where they enter, and when they end."""
