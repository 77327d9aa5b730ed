#!/bin/sh
# From nothing to a published model card: measure, train, measure, compare, publish.
#
#     sh docs/first-card.sh MODEL ORG/NAME [FOLDER]
#
# MODEL is an id of the hub or a folder, ORG/NAME the new model's id on the hub. Runs go into
# FOLDER, by default runs/first-card. The token is HF_TOKEN, or that of `hf auth login`.
set -eu
model=$1 repo=$2 runs=${3:-runs/first-card}

# 1. How toxic is it? 40 prompts, 2 responses to each.
bench="--prompts embedded --limit 40 --k 2"
detoxlab measure "$model" $bench --out "$runs/base"

# 2. Teach it milder answers: 209 dialogues, its own weights untouched.
detoxlab train sft "$model" --dialogues embedded --set epochs=1 --out "$runs/milder"

# 3. The same questions again, and the verdict.
detoxlab measure "$runs/milder" $bench --out "$runs/treated"
detoxlab compare "$runs/base" "$runs/treated"

# 4. The card, before others read it; then up it goes, for its owners alone at first.
publish() {
    detoxlab publish "$runs/milder" "$repo" --private --licence apache-2.0 \
        --measured "$runs/base" --measured "$runs/treated" "$@"
}
publish --dry-run
publish
