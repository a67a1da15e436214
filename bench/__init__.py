"""How fast the gateway is: a fake provider, a load, and the figures."""
