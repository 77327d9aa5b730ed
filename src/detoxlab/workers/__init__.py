"""Where the batches of a run are computed: in this process, or by the workers of a Ray cluster.

Results do not depend on the place: `Workers.results` gives the rows of each batch in the order of
the batches, so that the files of a run are the same.
"""

from detoxlab.workers.base import HERE, Here, Work, Workers
from detoxlab.workers.choice import LOCAL, workers_on

__all__ = ["HERE", "LOCAL", "Here", "Work", "Workers", "workers_on"]
