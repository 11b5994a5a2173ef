//! What a model card says about its repository: the YAML front matter of README.md, the part that is searched.
//!
//! Format: <https://huggingface.co/docs/hub/model-cards#model-card-metadata>.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::repo::RepoKind;

/// The largest front matter, in bytes.
const MAX_FRONT_MATTER: usize = 64 << 10;
/// The most values kept of one list.
const MAX_VALUES: usize = 256;
/// The longest value, in bytes.
const MAX_VALUE: usize = 256;

/// Why a card cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// The front matter is not YAML.
    #[error("the front matter of the card is not valid YAML: {reason}")]
    Yaml { reason: String },
    /// The front matter is longer than 64 KiB or is not closed by a second `---`.
    #[error("the front matter of the card has no end within {MAX_FRONT_MATTER} bytes")]
    Unclosed,
}

/// Model-card metadata. Every field may be missing; values over a limit are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Card {
    /// SPDX-like identifiers as the Hub spells them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub license: Vec<String>,
    /// Free tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The task, such as `text-generation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline_tag: Option<String>,
    /// The library the files are for, such as `transformers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library_name: Option<String>,
    /// What a dataset is for, such as `text-classification`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub task_categories: Vec<String>,
    /// How many rows a dataset has, such as `1K<n<10K`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub size_categories: Vec<String>,
    /// What runs a space, such as `gradio`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sdk: Option<String>,
    /// ISO 639 codes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub language: Vec<String>,
    /// The models this one was made from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub base_model: Vec<String>,
    /// The datasets it was trained on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<String>,
}

impl Card {
    /// Reads the front matter of a README; without one the card is empty.
    ///
    /// # Errors
    /// If there is one that cannot be read.
    pub fn from_readme(readme: &str) -> Result<Self, CardError> {
        let data = Self::front_matter(readme)?;
        let list = |key: &str| match data.get(key) {
            Some(Value::Array(values)) => values.iter().filter_map(text).take(MAX_VALUES).collect(),
            Some(value) => text(value).into_iter().collect(),
            None => Vec::new(),
        };
        let one = |key: &str| data.get(key).and_then(text);
        Ok(Self {
            license: list("license"),
            tags: list("tags"),
            pipeline_tag: one("pipeline_tag"),
            library_name: one("library_name"),
            task_categories: list("task_categories"),
            size_categories: list("size_categories"),
            sdk: one("sdk"),
            language: list("language"),
            base_model: list("base_model"),
            datasets: list("datasets"),
        })
    }

    /// Returns the whole front matter as the Hub shows it (`cardData`); an empty object without one.
    ///
    /// # Errors
    /// If there is one that cannot be read.
    pub fn front_matter(readme: &str) -> Result<Value, CardError> {
        let readme = readme.strip_prefix('\u{feff}').unwrap_or(readme);
        let mut lines = readme.split_inclusive('\n');
        let Some(opening) = lines.next().filter(|line| line.trim_end() == "---") else {
            return Ok(Value::Object(serde_json::Map::new()));
        };
        let mut length = 0;
        for line in lines {
            if line.trim_end() == "---" {
                return parse(&readme[opening.len()..opening.len() + length]);
            }
            length += line.len();
            if length > MAX_FRONT_MATTER {
                break;
            }
        }
        Err(CardError::Unclosed)
    }

    /// Reports whether every value is within its limit; a card read from a README always is.
    pub(crate) fn is_within_limits(&self) -> bool {
        let lists = [
            &self.license,
            &self.tags,
            &self.task_categories,
            &self.size_categories,
            &self.language,
            &self.base_model,
            &self.datasets,
        ];
        lists.iter().all(|list| list.len() <= MAX_VALUES)
            && lists
                .into_iter()
                .flatten()
                .chain(&self.pipeline_tag)
                .chain(&self.library_name)
                .chain(&self.sdk)
                .all(|value| is_sound(value))
    }

    /// Returns the tags the Hub shows: the card's own and those that follow from its other fields. Those of a dataset say
    /// of what kind they are, languages too.
    pub fn all_tags(&self, kind: RepoKind) -> Vec<String> {
        let prefixed = |prefix: &'static str, values: &[String]| {
            values.iter().map(move |value| format!("{prefix}:{value}")).collect::<Vec<_>>()
        };
        let plain = self.library_name.iter().chain(&self.sdk).chain(&self.tags);
        let mut tags: Vec<String> = plain.cloned().collect();
        tags.extend(prefixed("task_categories", &self.task_categories));
        tags.extend(prefixed("size_categories", &self.size_categories));
        match kind {
            RepoKind::Dataset => tags.extend(prefixed("language", &self.language)),
            RepoKind::Model | RepoKind::Space => tags.extend(self.language.iter().cloned()),
        }
        tags.extend(prefixed("dataset", &self.datasets));
        tags.extend(prefixed("base_model", &self.base_model));
        tags.extend(prefixed("license", &self.license));
        tags
    }
}

fn parse(yaml: &str) -> Result<Value, CardError> {
    if yaml.trim().is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    match serde_saphyr::from_str(yaml) {
        Ok(Value::Object(map)) => Ok(Value::Object(map)),
        Ok(_) => Err(CardError::Yaml { reason: "expected keys and values".to_owned() }),
        Err(error) => {
            let reason: String = error.to_string().lines().next().unwrap_or_default().chars().take(200).collect();
            Err(CardError::Yaml { reason })
        }
    }
}

/// Returns a scalar as text; YAML turns `no`, the code of Norwegian, into a boolean in some readers.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Bool(false) => "no".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    is_sound(&text).then_some(text)
}

fn is_sound(value: &str) -> bool {
    !value.is_empty() && value.len() <= MAX_VALUE && !value.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_read_whether_values_are_lists_or_single() {
        let readme = "---\nlicense: mit\nlanguage:\n- en\n- no\ntags: [a, b]\npipeline_tag: fill-mask\nwidget:\n- text: x\n---\n# Hi";
        let card = Card::from_readme(readme).unwrap();
        assert_eq!(card.license, ["mit"]);
        assert_eq!(card.language, ["en", "no"]);
        assert_eq!(card.tags, ["a", "b"]);
        assert_eq!(card.pipeline_tag.as_deref(), Some("fill-mask"));
        assert_eq!(card.all_tags(RepoKind::Model), ["a", "b", "en", "no", "license:mit"]);
    }

    #[test]
    fn the_tags_of_a_dataset_say_what_they_are() {
        let readme = "---\nlanguage: en\ntask_categories: [table-to-text]\nsize_categories: n<1K\nsdk: static\n---\n";
        let card = Card::from_readme(readme).unwrap();
        let dataset = ["static", "task_categories:table-to-text", "size_categories:n<1K", "language:en"];
        assert_eq!(card.all_tags(RepoKind::Dataset), dataset);
        assert_eq!(card.all_tags(RepoKind::Space)[3], "en");
    }

    #[test]
    fn no_front_matter_is_an_empty_card() {
        for readme in ["", "# Hello", "text\n---\na: b\n---\n", "---\n---\n"] {
            assert_eq!(Card::from_readme(readme).unwrap(), Card::default(), "{readme:?}");
        }
    }

    #[test]
    fn a_broken_or_hostile_card_is_an_error_and_nothing_worse() {
        assert_eq!(Card::from_readme("---\na: b\n"), Err(CardError::Unclosed));
        assert!(matches!(Card::from_readme("---\na: [b\n---\n"), Err(CardError::Yaml { .. })));
        assert!(matches!(Card::from_readme("---\n- a\n---\n"), Err(CardError::Yaml { .. })));
        let laughs = (1..40).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |yaml, n| {
            let last = format!("*a{}", n - 1);
            yaml + &format!("a{n}: &a{n} [{}]\n", [last.as_str(); 9].join(","))
        });
        assert!(matches!(Card::from_readme(&format!("---\n{laughs}---\n")), Err(CardError::Yaml { .. })));
        let deep = format!("---\na: {}\n---\n", "[".repeat(20_000));
        assert!(Card::from_readme(&deep).is_err());
    }
}
