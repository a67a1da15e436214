"""What an owner allows delegates."""
