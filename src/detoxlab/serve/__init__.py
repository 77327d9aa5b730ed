"""A scorer behind HTTP, in the shapes of Perspective's API and of OpenAI's moderations.

`config` has the settings, `server` starts and stops it, `app` names the endpoints. `wire` knows the
shapes of requests and answers, `answers` what is answered, `pool` the processes that score, and
`web` the rest of HTTP: limits, keys, metrics, pages.
"""
