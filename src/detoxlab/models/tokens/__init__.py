"""How texts become token ids: tokenizer files, chat templates, control tokens, vocabulary."""
