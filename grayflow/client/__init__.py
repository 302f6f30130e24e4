"""The face of grayflow in a service: one client that composes the replica, scopes, resolvers, hooks and handlers."""
