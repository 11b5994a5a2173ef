//! The few keys that the Hub shows of the files that say how a model is loaded. Pure.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};

/// What is shown of `config.json`, `tokenizer_config.json`, `model_index.json` and `adapter_config.json`.
const SHOWN: [&str; 17] = [
    "_class_name",
    "architectures",
    "auto_map",
    "base_model_name_or_path",
    "bos_token",
    "chat_template",
    "cls_token",
    "eos_token",
    "mask_token",
    "model_type",
    "pad_token",
    "peft_type",
    "quantization_config",
    "sep_token",
    "task_type",
    "unk_token",
    "use_default_system_prompt",
];

/// The longest value that is shown, in bytes.
const MAX_VALUE: usize = 128 << 10;

/// Which class loads a model, by what its architecture is called, and the task it is for.
const HEADS: [(&str, &str, &str); 12] = [
    ("ForCausalLM", "AutoModelForCausalLM", "text-generation"),
    ("LMHeadModel", "AutoModelForCausalLM", "text-generation"),
    ("ForMaskedLM", "AutoModelForMaskedLM", "fill-mask"),
    ("ForSequenceClassification", "AutoModelForSequenceClassification", "text-classification"),
    ("ForTokenClassification", "AutoModelForTokenClassification", "token-classification"),
    ("ForQuestionAnswering", "AutoModelForQuestionAnswering", "question-answering"),
    ("ForImageClassification", "AutoModelForImageClassification", "image-classification"),
    ("ForObjectDetection", "AutoModelForObjectDetection", "object-detection"),
    ("ForAudioClassification", "AutoModelForAudioClassification", "audio-classification"),
    ("ForCTC", "AutoModelForCTC", "automatic-speech-recognition"),
    ("ForSpeechSeq2Seq", "AutoModelForSpeechSeq2Seq", "automatic-speech-recognition"),
    ("Model", "AutoModel", "feature-extraction"),
];

/// Returns what is shown of a file, or nothing if it is no JSON object. The rest is passed over, however much it is.
pub(crate) fn shown(text: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(text).ok().map(|Shown(map)| map)
}

/// Returns the class that loads a model with this architecture, and its task, as far as its name tells.
pub(crate) fn auto_model(architecture: &str) -> Option<(&'static str, &'static str)> {
    HEADS.into_iter().find(|(suffix, ..)| architecture.ends_with(suffix)).map(|(_, class, task)| (class, task))
}

struct Shown(Map<String, Value>);

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Shown;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("keys and values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shown, A::Error> {
                let mut shown = Map::new();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    if !SHOWN.contains(&&*key) {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let value: &RawValue = map.next_value()?;
                    if value.get().len() <= MAX_VALUE
                        && let Ok(value) = serde_json::from_str(value.get())
                    {
                        shown.insert(key.into_owned(), value);
                    }
                }
                Ok(Shown(shown))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_the_hub_shows_is_kept() {
        let text = br#"{"architectures": ["BertModel"], "hidden_size": 32, "added_tokens_decoder": {"0": {}},
            "mask_token": {"content": "[MASK]"}}"#;
        let expected = json!({ "architectures": ["BertModel"], "mask_token": { "content": "[MASK]" } });
        assert_eq!(shown(text).map(Value::from), Some(expected));
        let long = format!(r#"{{"chat_template": "{}", "eos_token": "x"}}"#, "x".repeat(MAX_VALUE));
        assert_eq!(shown(long.as_bytes()).map(Value::from), Some(json!({ "eos_token": "x" })));
        for text in ["", "[]", "{", r#"{"a": }"#, &"[".repeat(10_000)] {
            assert_eq!(shown(text.as_bytes()), None);
        }
    }

    #[test]
    fn an_architecture_tells_the_class_and_the_task() {
        assert_eq!(auto_model("LlamaForCausalLM"), Some(("AutoModelForCausalLM", "text-generation")));
        assert_eq!(auto_model("GPT2LMHeadModel"), Some(("AutoModelForCausalLM", "text-generation")));
        assert_eq!(auto_model("BertModel"), Some(("AutoModel", "feature-extraction")));
        assert_eq!(auto_model("SomethingElse"), None);
    }
}
