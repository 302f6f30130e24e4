"""The Redis store; importing it imports redis-py, so `grayflow.store.urls` does that when a Redis is opened."""

from grayflow.store.redis.store import RedisStore

__all__ = ["RedisStore"]
