"""The shared vocabulary: errors, money, usage, ids, settings, database, clock, log. Imports nothing of ours."""
