"""Parts of all methods that train an adapter: settings, checkpoints, log, the run itself."""
