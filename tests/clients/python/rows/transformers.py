"""transformers, without torch: configurations, tokenizers, and models file by file. `by_hand.py` has the weights."""

import json

from world import same, told

TOKENIZER = """
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate("[UNK] hello big world".split())}, "[UNK]"))
inner.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]")
tokenizer.chat_template = "{{ messages }}"
"""
LOAD = "from transformers import AutoTokenizer; tokenizer = AutoTokenizer.from_pretrained(repo, revision=revision)"
TOKENS = "print(json.dumps([tokenizer('hello big world')['input_ids'], tokenizer.chat_template]))"


def _last(text):
    return json.loads(text.splitlines()[-1])


def a_tokenizer_is_pushed_and_loaded(t):
    t.python(t.write, f"{TOKENIZER}\ntokenizer.push_to_hub(repo, token=token)", repo=t.name(), token=t.token)
    got = told(lambda: _last(t.python(t.read, f"{LOAD}\n{TOKENS}", repo=t.name(), revision="main")))
    same(got, [[1, 2, 3], "{{ messages }}"], "tokens and template")


def a_configuration_is_pushed_and_loaded(t):
    push = "from transformers import BertConfig; BertConfig(hidden_size=48, num_hidden_layers=3).push_to_hub(repo, token=token)"
    t.python(t.write, push, repo=t.name(), token=t.token)
    load = """
from transformers import AutoConfig
config = AutoConfig.from_pretrained(repo)
print(json.dumps([type(config).__name__, config.hidden_size, config.num_hidden_layers]))"""
    same(told(lambda: _last(t.python(t.read, load, repo=t.name()))), ["BertConfig", 48, 3], "the configuration")


def a_pinned_revision_loads_what_was_there(t):
    t.python(t.write, f"{TOKENIZER}\ntokenizer.push_to_hub(repo, token=token)", repo=t.name(), token=t.token)
    first = t.head(t.name())
    change = "tokenizer.chat_template = 'another'; tokenizer.push_to_hub(repo, token=token)"
    t.python(t.write, f"{TOKENIZER}\n{change}", repo=t.name(), token=t.token)
    for revision, template in ((first, "{{ messages }}"), (t.head(t.name()), "another")):
        got = told(lambda: _last(t.python(t.read, f"{LOAD}\n{TOKENS}", repo=t.name(), revision=revision)))
        same(got[1], template, f"the template at {revision}")


def a_missing_model_is_told_from_a_missing_file(t):
    for repo, words in ((f"{t.namespace}/never-made", "is not a local folder and is not a valid model identifier"),
                        (t.shelf["sharded"]["id"], "Unrecognized model in")):
        load = "from transformers import AutoConfig\ntry: AutoConfig.from_pretrained(repo)\nexcept (OSError, ValueError) as error: print(error)"
        said = t.python(t.read, load, repo=repo)
        assert words in said, f"{repo}: {said}"
