"""What all methods that train an adapter share: settings, checkpoints, log, and the run itself."""
