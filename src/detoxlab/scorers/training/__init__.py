"""Training of scorers: an encoder learns the labels of texts. Import its parts by file.

The settings are in `detoxlab.scorer_training`, which imports nothing heavy.

config       the settings; imports nothing heavy
labels       a column of a data set as probabilities
rows         the texts of all data sets with their labels, divided into train and validation
model        encoder and head, whole or with LoRA; the tensors that a training changes
loop         the steps, resumable to the same bytes
calibration  curves and thresholds, fitted on validation texts
folder       the folder that `--scorer` loads and plain transformers opens, and its card
run          all of this in one run folder
"""
