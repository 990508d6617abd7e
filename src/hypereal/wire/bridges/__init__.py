"""Translations between dialects, one module a pair."""
