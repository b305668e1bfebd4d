"""Offline experiments: comparisons, cold start, the impact of rules, and their report."""
