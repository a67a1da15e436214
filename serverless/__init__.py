"""The functions on AWS Lambda: what they need there and nowhere else."""
