"""The core of the gateway: everything between a client's request and a provider's answer."""
