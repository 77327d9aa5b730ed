"""The mistakes of a first evening: command lines, and the words that name cause and remedy.

`prepare` makes the files and runs that the command lines name.
"""

import gzip
import json
from pathlib import Path
from typing import Any

from detoxlab.records import Generation, Prompt, Score
from detoxlab.runs import Run

Mistake = tuple[str, str, str]
"""A command line, and words of its error: of the cause, then of the remedy."""

M = "measure embedded --out x"
T = "train sft embedded --out x"
S = "score r.csv --out x"
P = f"{S} --score-column perspective=score"

WRONG_USE: list[Mistake] = [
    ("mesure embedded", "No such command 'mesure'", "Did you mean 'measure'"),
    ("measure", "Missing argument 'model'", "Write detoxlab measure MODEL --out OUT"),
    ("measure embedded", "Missing option '--out'", "measure MODEL --out OUT"),
    ("measure embedded --ouput x", "No such option: --ouput", "--output or --out"),
    (f"{M} --prompt p.csv", "No such option: --prompt", "Did you mean --prompts"),
    (f"{M} --k many", "'--k': Input should be a valid integer", "`detoxlab measure -h`"),
    (f"{M} p.csv", "unexpected extra argument(s) (p.csv)", "Write detoxlab measure MODEL"),
    (f"{M} --limit", "Option '--limit' requires an argument", "-h` lists the options"),
    ("train sft", "Missing argument 'model'", "Write detoxlab train METHOD MODEL --out OUT"),
    ("compare", "Missing argument 'runs'", "Write detoxlab compare RUNS…"),
    ("winrate base tuned --out x", "Missing option '--judge'", "--judge JUDGE"),
    ("sweep embedded --out x", "Missing option '--budget'", "--budget BUDGET"),
    ("view --port 99999", "'--port': Input should be less than", "`detoxlab view -h`"),
    ("help setting", "No such command 'setting'", "Did you mean 'settings'?"),
]

NAMES: list[Mistake] = [
    ("list scorer", "unknown kind of names 'scorer'", "Did you mean 'scorers'?"),
    ("help settings mesure", "unknown settings 'mesure'", "Did you mean 'measure'"),
    (f"{M} --judge rtp-neurl", "unknown scorer 'rtp-neurl'", "Did you mean 'rtp-neural'?"),
    (f"{M} --judge Perspective", "unknown scorer 'Perspective'", "'perspective'?"),
    (f"{M} --judge perspective", "PERSPECTIVE_API_KEY holds no API key", "Set it, or set"),
    (f"{M} --judge unitary/toxic-bert", "no such folder", "write hf:unitary/toxic-bert"),
    (f"{M} --judge 'avg(rtp-linear)'", "unknown way to combine scorers 'avg'", "Known: max"),
    (f"{M} --judge 'mean(x*rtp-linear)'", "'x' is not a weight", "NUMBER*SCORER"),
    (f"{M} --scorer rtp-linear,human-neural", "is more than one", "Repeat the option"),
    (f"{M} --second rtp-neural", "are both 'rtp-neural'", "take another one"),
    (f"{M} --protocol rtpp", "unknown protocol 'rtpp'", "Did you mean 'rtp'?"),
    (f"{M} --prompts embeded", "unknown prompt source 'embeded'", "'embedded'?"),
    (f"{M} --steer dexpert:ft", "unknown steering 'dexpert'", "Did you mean 'dexperts'?"),
    (f"{M} --steer caa:ft", "ft: holds no steering", "run that fitted a steering"),
    (f"{M} --set encoder=hashed", "unknown encoder 'hashed'", "'hashed-ngrams'?"),
    ("train sftt embedded --out x", "unknown method 'sftt'", "Did you mean 'sft'?"),
    ("train embedded sft --out x", "'embedded' is no method", "detoxlab train sft embedded"),
    (f"{T} --dialogues embeded", "unknown dialogue source 'embeded'", "'embedded'?"),
    ("run let-the-model-respond", "unknown recipe", "Did you mean 'let-the-models-respond'?"),
    ("evaluate base perplexiti", "unknown kind of evaluation", "'perplexity'?"),
    ("serve --scorer rtp-liner", "unknown scorer 'rtp-liner'", "Did you mean 'rtp-linear'?"),
    ("train scorer hate-neurl --out x", "unknown recipe", "Did you mean 'hate-neural'?"),
]

RECIPES: list[Mistake] = [
    ("run", "no recipe named", "`detoxlab list recipes`"),
    ("run r.yml", "r.yml: no such recipe", "Did you mean 'r.yaml'?"),
    ("run p.csv", "p.csv: is no recipe", "a mapping of keys"),
    ("run malformed.yaml", "malformed.yaml:2: not valid YAML", "Check its brackets"),
    ("run typo.yaml", "unknown key 'protocl'", "Did you mean 'protocol'?"),
    ("run typo-below.yaml", "unknown key 'prompts.limt'", "Did you mean 'limit'?"),
    ("run no-model.yaml", "model is not given", "Add --set model=VALUE"),
    ("run no-data.yaml", "sft learns from dialogues or texts; given: none", "Give dialogues"),
    ("run no-variants.yaml", "variants: ", "at least 1"),
    ("run no-method.yaml", "unknown method 'sfd'", "Did you mean 'sft'?"),
    ("run base.yaml", "variant name 'base' is taken", "names must differ"),
    ("run variable.yaml", "NO_SUCH_VARIABLE is not set", "Set it, or replace the value"),
    ("run r.yaml --set seed", "--set seed: not of the form", "Write --set seed=VALUE"),
    ("run r.yaml --set variants.fd.method=sft", "no entry 'fd'", "Known: ft"),
    ("run r.yaml --only fft", "'fft'", "Did you mean 'ft'?"),
]

MODELS: list[Mistake] = [
    ("measure embeded --out x", "embeded: no such model folder", "Did you mean 'embedded'?"),
    ("measure ./model/tiny-ml --out x", "no such model folder", "Did you mean 'model/tiny-lm'?"),
    (
        "measure model --out x",
        "model: not a model (no config.json",
        "the model below it: model/tiny-lm",
    ),
    ("measure https://hub.co/org/lm --out x", "an address of the web", "by its id alone"),
    ("measure folder --out x", "folder: not a model", "Give a hub id, a model folder"),
    ("measure base --out x", "base: is a run without a model", "the model that it measured"),
    ("measure unfinished --out x", "unfinished: this run has no adapter", "--resume"),
    ("measure p.csv --out x", "p.csv: not a GGUF file", "Fetch the file again"),
    (f"{M} --device gpu", "'gpu' is no device", "say auto, cpu, cuda"),
    (f"{M} --dtype float8", "dtype: Input should be", "'bfloat16'"),
    (f"{M} --quantisation int3", "quantisation.kind: Input should be", "'int8'"),
    (f"{M} --base ft", "embedded is no adapter", "Leave out --base"),
    (f"{M} --strength 0.5", "embedded has no adapter, edit or steering", "Leave it out"),
    ("export base --out x", "base: is a measure run", "Give a run of train"),
    ("export ft --out folder", "folder: holds something already", "Choose another --out"),
]

PROMPTS: list[Mistake] = [
    (f"{M} --prompts promts.csv", "promts.csv: no such file", "Did you mean 'prompts.csv'?"),
    (f"{M} --prompts no/p.csv", "no/p.csv: no such file", "There is no folder 'no' either"),
    (f"{M} --prompts p.cvs", "unknown prompt source 'p.cvs'", "Did you mean 'p.csv'?"),
    (f"{M} --prompts RTP --prompts-path no", "no: no such file", "Check the path"),
    (f"{M} --prompts xstest --prompts-path folder", "no xstest file", "Give the file itself"),
    (f"{M} --prompts https://hub.co/p.csv", "an address of the web", "Download the file"),
    (f"{M} --prompts empty.csv", "empty.csv: is empty", "written to its end"),
    (f"{M} --prompts head.csv", "head.csv: holds no rows", "written to its end"),
    (f"{M} --prompts broken.jsonl", "broken.jsonl:2: not valid JSON", "object per line"),
    (f"{M} --prompts list.json", "item 1: a number instead", "has named fields"),
    (f"{M} --prompts not.jsonl.gz", "not a gzip file", "take the .gz off its name"),
    (f"{M} --prompts cut.jsonl.gz", "broken gzip", "Download or pack it again"),
    (f"{M} --prompts broken.parquet", "not a readable Parquet file", "write it again"),
    (f"{M} --prompts latin.csv", "latin.csv:2: not UTF-8", "latin-1 or cp1252"),
    (f"{M} --prompts notes.docx", "'.docx' cannot be read", "Use .jsonl"),
    (f"{M} --prompts folder", "folder: is a folder", "Name a file in it: p.csv"),
    (f"{M} --prompts odd.csv", "no column 'text' or 'prompt'", "--column text='Said (raw)'"),
    (f"{M} --prompts odd.csv --column text=said", "no column 'said'", "text='Said (raw)'"),
    (f"{M} --prompts odd.csv --column said", "--column said: not of the form", "NAME=said"),
    (f"{M} --column text=prompt", "columns are given for 'embedded'", "Leave them out"),
    (f"{M} --prompts nulls.jsonl", "nulls.jsonl:2: column 'text' is null", "--skip-nulls"),
    (f"{M} --prompts blank.csv", "blank.csv:3: column 'text' is empty", "--skip-nulls"),
    (f"{M} --prompts number.jsonl", "'text' holds a number, not text", "column that holds text"),
    (f"{M} --prompts twice.csv", "'a' was already given at twice.csv:2", "must be distinct"),
    (f"{M} --where kind", "--where kind: not of the form", "Write --where NAME=kind"),
    (f"{M} --where toxicity=low:high", "not a range", "LOW:HIGH with two numbers"),
    (f"{M} --where toxicity=0.9:0.5", "the range is empty", "Put the lower end first"),
    (f"{M} --where toxicty=0.5:1", "no prompt has the attribute 'toxicty'", "Known: group, kind"),
    (f"{M} --where kind=gentle", "no prompts left", "Its values are hostile"),
]

TRAINING_DATA: list[Mistake] = [
    (f"{T} --dialogues p.csv", "no dialogues in columns id, text", "prompt and response"),
    (f"{T} --dialogues talk.csv", "no dialogues", "--column prompt=asked --column response=reply"),
    (
        f"{T} --pairs pairs.csv",
        "sft learns from dialogues or texts; given: pairs",
        "Give dialogues",
    ),
    (f"{T} --dialogues embedded --prompts embedded", "given: dialogues, prompts", "nothing else"),
    (f"{T} --validation 1", "dialogues.validation: Input", "less than 1"),
    ("train dpo embedded --out x --pairs p.csv", "no column 'chosen'", "--column chosen=text"),
    ("train dpo embedded --out x --pairs pairs.csv", "all 1 are odd", "two different responses"),
    ("train scorer --out x", "no data named", "Give a recipe"),
    ("train scorer --out x --data p.csv --encoder e", "no attribute named", "--attributes hate"),
]

RESPONSES: list[Mistake] = [
    ("score r.csv", "--out is missing", "Name a run folder with --out"),
    ("score rr.csv --out x", "rr.csv: no such file", "Did you mean 'r.csv'?"),
    (f"{S} --prompt-column question", "no column 'question'", "Type --prompt-column prompt"),
    (f"{S} --response-column respons", "no column 'respons'", "--response-column response"),
    (f"{S} --score-column mine=scor", "no column 'scor'", "Type --score-column mine=score"),
    (f"{S} --score-column score", "--score-column score: not of the form", "NAME=score"),
    (f"{S} --score-column mine=minus", "r.csv:2: the score -1", "--missing-value -1"),
    (f"{S} --score-column mine=percent", "r.csv:2: the score 55", "Divide percentages by 100"),
    (f"{S} --score-column mine=word", "'word' holds no number", "with --missing-value"),
    (f"{S} --score-column mine=none", "'none' holds no score", "Name another --score-column"),
    (f"{S} --judge score", "unknown scorer 'score'", "--score-column score=score"),
    (f"{S} --judge scores", "unknown scorer 'scores'", "--score-column score=score"),
    (f"{S} --scorer rtp-neurl", "unknown scorer 'rtp-neurl'", "Did you mean 'rtp-neural'?"),
    (f"{P} --judge perspectiv", "unknown scorer 'perspectiv'", "'perspective'?"),
    (f"{P} --second rtp-linar", "unknown scorer 'rtp-linar'", "r.csv has the columns prompt"),
    (f"{S} --score-column m=minus --missing-value -1", "no score at all", "Name another"),
    ("score base --scorer rtp-liner", "unknown scorer 'rtp-liner'", "'rtp-linear'?"),
    ("score base", "base: no scorer named", "Name one with --scorer"),
    ("score base --out x --scorer rtp-linear", "which is scored in place", "Leave it out"),
]

VALUES: list[Mistake] = [
    (f"{M} --limit 0", "prompts.limit: Input", "greater than or equal to 1"),
    (f"{M} --k 0", "sampling.k: Input", "greater than or equal to 1"),
    (f"{M} --max-new-tokens -1", "sampling.max_new_tokens: Input", "greater than or equal to 1"),
    (f"{M} --set sampling.temperature=-1", "sampling.temperature: Input", "equal to 0"),
    (f"{M} --set sampling.top_p=0", "sampling.top_p: Input", "greater than 0"),
    (f"{M} --set temperature=1", "unknown key 'temperature'", "'sampling.temperature'?"),
    (f"{M} --set sampling.temprature=1", "unknown key 'sampling.temprature'", "'temperature'?"),
    (f"{M} --set judge", "--set judge: not of the form", "Write --set judge=VALUE"),
    (f"{M} --best-of 4", "best_of and by go together", "who chooses"),
    (f"{M} --best-of 4 --by rtp-neural", "choose the responses and judge", "Take another scorer"),
    (f"{M} --set endpoint=localhost:8000", "is not a URL", "http://host:8000/v1"),
    (f"{M} --set endpoint=http://a/v1 --set api_key_env=NO_KEY", "NO_KEY is not set", "Put the"),
    (f"{M} --set prompts=p.csv", "prompts: Input", "name a setting in it, prompts.NAME"),
    (f"{M} --set sampling.stop=END", "sampling.stop: Input", "Write a list: [a, b]"),
    (f"{M} --template-date yesterday", "template_date: Input", "Write it as 2026-12-31"),
    (f"{M} --resamples 0", "resamples: Input", "greater than or equal to 100"),
    (f"{T} --set learning_rat=1e-3", "unknown key 'learning_rat'", "'learning_rate'?"),
    (f"{T} --set epochs=many", "epochs: Input", "valid number"),
    (f"{T} --set seed=1", "a run has one seed", "--seed"),
    (f"{T} --set learning_rate=-1", "learning_rate: Input", "greater than 0"),
    ("compare base tuned --threshold 1.5", "threshold: Input", "less than or equal to 1"),
    ("compare base tuned --set perplexity=2", "key 'perplexity'", "'perplexity_ratio'?"),
    ("compare base tuned --set perplexity_ratio=low", "perplexity_ratio: Input", "valid number"),
    ("serve --scorer rtp-linear --port 99999", "port: Input", "less than or equal to 65535"),
]

RUNS: list[Mistake] = [
    ("compare base", "needs two runs or more", "Name the baseline first"),
    ("compare base tund", "tund: not a run folder", "Did you mean 'tuned'?"),
    ("compare base ./base", "one run is named twice", "Name each run once"),
    ("compare base p.csv", "p.csv: not a run folder", "Give a folder that measure"),
    ("compare base ft", "ft: holds no responses", "Give a run of `measure`"),
    ("compare base elsewhere", "no prompt in common", "runs on the same prompts"),
    ("compare base other-judge", "which has not scored other-judge", "Score both runs"),
    ("compare base longer", "max_new_tokens = 20, longer with 99", "same sampling"),
    ("compare base cut", "cut: interrupted at 1 of 4 responses", "`detoxlab resume cut`"),
    ("compare cut base", "cut: interrupted at 1 of 4 responses", "`detoxlab resume cut`"),
    ("compare base tuned --attribute insult", "insult", "toxicity"),
    ("report base nothing", "nothing: not a run folder", "Give a folder that measure"),
    ("report base cut", "cut: interrupted at 1 of 4 responses", "`detoxlab resume cut`"),
    ("report base tuned --out r.html", "r.csv: is there already", "Choose another --out"),
    ("report base tuned --trained tund=ft", "'tund'", "Did you mean 'tuned'?"),
    ("report base tuned --trained tuned", "--trained tuned: not of the form", "NAME=tuned"),
    ("report base tuned --against tuned=bse", "unknown run 'bse'", "Did you mean 'base'?"),
    ("report base tuned --explained base", "a run of measure, not of explain", "Make one"),
    ("report base tuned --win-rate base", "a run of measure, not of winrate", "Make one"),
    ("report base tuned --swept ft=base", "a run of measure, not of sweep", "Make one"),
    ("report base tuned --useful-by mmlu", "unknown evaluation 'mmlu'", "Known: responses"),
    ("measure embedded --out base", "base: already holds a run", "Go on with it by --resume"),
    ("measure embedded --out cut", "holds a run, interrupted at 1 of 4", "by --resume"),
    ("measure embedded --out base --resume", "was made with other settings", "same settings"),
    ("measure embedded --out ft --resume", "already holds a run of train", "another --out"),
    ("measure embedded --out folder", "exists and is not a run folder", "another --out"),
    ("measure embedded --out p.csv", "exists and is not a run folder", "another --out"),
    ("score cut --scorer rtp-linear", "interrupted at 1 of 4", "`detoxlab resume cut`"),
    ("explain ft --out x", "ft: is not the run of a model", "Give a run of measure"),
    ("evaluate base", "name a kind of evaluation", "`detoxlab evaluate` alone lists both"),
    (
        "evaluate folder perplexity --source p.csv",
        "folder: is no measured run",
        "Name a run folder with --out",
    ),
    ("evaluate ft perplexity --out x", "source is not given", "Add --set source=VALUE"),
    ("audit rtp-linear --data no --out x", "no: no such folder", "with --data"),
    ("view nothing", "nothing: no such folder", "Name a folder of runs"),
]

MISTAKES: dict[str, list[Mistake]] = {
    "wrong use": WRONG_USE,
    "names": NAMES,
    "recipes": RECIPES,
    "models": MODELS,
    "prompts": PROMPTS,
    "training data": TRAINING_DATA,
    "responses": RESPONSES,
    "values": VALUES,
    "runs": RUNS,
}

AFTER_TORCH: list[Mistake] = [
    (f"{M} --device cuda:99", "device 'cuda:99' is not usable here", "say --device cpu"),
]
"""Mistakes that torch alone can tell."""

# --- the files and runs that they name ---

VARIANT = "variants: [{name: ft, method: sft, dialogues: {source: embedded}}]\n"
RECIPE = f"name: r\nmodel: embedded\nprompts: {{source: embedded}}\n{VARIANT}"
FILES: dict[str, str | bytes] = {
    "p.csv": "id,text\na,Good morning\nb,How are you?\n",
    "prompts.csv": "id,text\na,Good morning\n",
    "folder/p.csv": "id,text\na,Good morning\n",
    "odd.csv": "id,Said (raw)\na,Good morning\n",
    "empty.csv": "",
    "head.csv": "text\n",
    "broken.jsonl": '{"text": "Hi"}\n{"text": \n',
    "list.json": "[1, 2]",
    "not.jsonl.gz": "text",
    "cut.jsonl.gz": gzip.compress(b'{"text": "Good morning"}\n' * 99)[:40],
    "broken.parquet": "PAR1 no",
    "latin.csv": "text\ncaf\xe9\n".encode("latin-1"),
    "notes.docx": "x",
    "nulls.jsonl": '{"text": "Hi"}\n{"text": null}\n',
    "blank.csv": "id,text\na,Hi\nb,\n",
    "number.jsonl": '{"text": 3}\n',
    "twice.csv": "id,text\na,Hi\na,Ho\n",
    "talk.csv": "id,asked,reply\na,Good morning,Good morning to you\n",
    "pairs.csv": "prompt,chosen,rejected\nHi,Yes,Yes\n",
    "r.csv": "prompt,response,score,minus,percent,word,none\nHello,Hi,0.5,-1,55,high,nan\n",
    "r.yaml": RECIPE,
    "malformed.yaml": "name: [1\nmodel: x\n",
    "typo.yaml": f"{RECIPE}protocl: rtp\n",
    "typo-below.yaml": RECIPE.replace("source: embedded}\nv", "source: embedded, limt: 3}\nv"),
    "no-model.yaml": RECIPE.replace("model: embedded\n", ""),
    "no-data.yaml": RECIPE.replace(", dialogues: {source: embedded}", ""),
    "no-variants.yaml": RECIPE.replace(VARIANT, "variants: []\n"),
    "no-method.yaml": RECIPE.replace("method: sft", "method: sfd"),
    "base.yaml": RECIPE.replace("name: ft", "name: base"),
    "variable.yaml": RECIPE.replace("model: embedded", "model: ${NO_SUCH_VARIABLE}"),
    "model/tiny-lm/config.json": json.dumps({"model_type": "llama"}),
    "ft/run.json": json.dumps({"kind": "train", "status": "finished", "method": "sft"}),
    "ft/config.yaml": "method: sft\n",
    "ft/adapter/adapter_config.json": "{}",
    "unfinished/run.json": json.dumps({"kind": "train", "status": "failed", "method": "sft"}),
}


def prepare(folder: Path) -> None:
    """Write the files and runs into a folder."""
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    for name in ("base", "tuned"):
        saved_run(folder / name)
    saved_run(folder / "elsewhere", ids=("x", "y"))
    saved_run(folder / "other-judge", scorer="other")
    saved_run(folder / "longer", max_new_tokens=99)
    cut = saved_run(folder / "cut", drawn=1)
    cut.finish("interrupted")


def saved_run(
    path: Path,
    *,
    ids: tuple[str, ...] = ("a", "b"),
    scorer: str = "s",
    drawn: int = 4,
    max_new_tokens: int = 20,
) -> Run:
    """A measured run of two responses to each prompt, of which so many were drawn."""
    sampling: dict[str, Any] = {"k": 2, "max_new_tokens": max_new_tokens, "temperature": 1.0}
    sampling |= {"top_p": 0.9, "top_k": 0, "stop": [], "seed": 0}
    config = {"protocol": "rtp", "model": "embedded", "sampling": sampling}
    run = Run.start(path, kind="measure", config=config)
    run.write_once("prompts.jsonl", [Prompt(one, f"Text {one}", "test") for one in ids])
    places = [(one, sample) for one in ids for sample in (0, 1)][:drawn]
    run.append("generations/worker-0.jsonl", [Generation(*p, "Hi", (1,), "eos") for p in places])
    run.append(f"scores/{scorer}.jsonl", [Score(*p, scorer, "toxicity", 0.1) for p in places])
    run.update(judge_id=scorer, second_id=None)
    run.finish()
    return run
