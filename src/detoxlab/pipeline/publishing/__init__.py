"""Gives trained models away: as a folder with a card, and on the hub."""

from detoxlab.pipeline.publishing.exporting import export_model
from detoxlab.pipeline.publishing.uploading import plan_publish, publish_model

__all__ = ["export_model", "plan_publish", "publish_model"]
