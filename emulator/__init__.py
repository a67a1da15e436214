"""Every function in one app, for development and as the production server; with what local use needs."""
