"""The part of the report about explained runs, and a page of its own.

study      an explained run, as it is read
pictures   curves by step, distributions over prompts
heat       maps of a response's words over the prompt's
tables     differences, measurements, the check of the method
section    all of it as a section
page       a page of this section alone
"""
