"""Is it there, and does it work?"""
