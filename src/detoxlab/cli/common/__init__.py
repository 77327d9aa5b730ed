"""Parts that several commands share: options, settings as options, help, tables."""
