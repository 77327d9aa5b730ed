"""The auxiliary model of NADO: a head that tells which beginnings of responses end accepted."""
