"""The receiver: the doors that others knock at, EventBridge and SNS with events, Slack with what was pressed."""

from deployments.receiver.application import create_app, main, serve

__all__ = ["create_app", "main", "serve"]
