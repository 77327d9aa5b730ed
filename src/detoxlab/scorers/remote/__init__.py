"""Services that score texts over HTTP, as scorers: Perspective and OpenAI's moderations.

    load_scorer("perspective")                          # PERSPECTIVE_URL, PERSPECTIVE_API_KEY
    load_scorer("openai-moderation#harassment+hate")    # OPENAI_BASE_URL, OPENAI_API_KEY
    load_scorer("perspective=http://localhost:8000")    # a server that speaks its protocol

`names` has the names above and where each service stands, `perspective` and `moderation` its
requests and answers, `sending` the requests within a quota, `scorer` the scorer.
"""
