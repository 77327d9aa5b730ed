"""Shapes of requests and answers on the wire: JSON, multipart, errors. No scorer is known here."""
