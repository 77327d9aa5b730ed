"""The answers of each method: scores of texts, from checked requests to the JSON of answers."""
