"""The receiver: the doors that others knock at, EventBridge with its events and Slack with what was pressed there."""

from deployments.receiver.application import create_app, main, serve

__all__ = ["create_app", "main", "serve"]
