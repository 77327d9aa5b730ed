"""The long stages of a measured run, each as work that this process or workers elsewhere do."""
