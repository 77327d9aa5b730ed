"""`detoxlab view`: the runs under a folder in a browser, live or as files.

serving(folder)            a server on this machine: list, one run, two runs paired row by row
export(folder, out)        the same as plain files

`folders`, `facts` and `listing` find runs and say what they are. `rows` pairs and reads responses;
`store` keeps their index, and works out guards and verdicts in the background. `site` makes pages.
"""

from detoxlab.viewing.export import export
from detoxlab.viewing.server import HOST, PORT, serving

__all__ = ["HOST", "PORT", "export", "serving"]
