//! Which repositories a client looks for. Pure.

use huddle_protocol::{Card, Manifest};

use crate::{error::ApiError, query::Query};

/// What cannot be told without reading files of every repository, or is told nowhere here.
const UNKNOWN: [&str; 2] = ["num_parameters", "models"];

/// The programs that a client may ask a model for and that run GGUF files; of others nothing is known.
pub(crate) const GGUF_APPS: [&str; 5] = ["llama.cpp", "ollama", "lmstudio", "jan", "koboldcpp"];

/// What a repository has to be. Everything is in lower case.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    /// What its name contains.
    words: Vec<String>,
    /// What stands before the slash.
    author: Option<String>,
    /// Its tags, among them its task and its library.
    tags: Vec<String>,
    /// Whether it has to have a GGUF file.
    has_gguf: bool,
    /// Nothing fits: the client looks for what does not exist here.
    is_empty: bool,
}

impl Filter {
    /// Reads a query.
    ///
    /// # Errors
    /// If it asks for something that this gateway cannot tell. Answering with too much or too little would be worse.
    pub(super) fn read(query: &Query) -> Result<Self, ApiError> {
        let bad = |reason: String| Err(ApiError::BadRequest { reason });
        if let Some(name) = UNKNOWN.into_iter().find(|name| query.one(name).is_some()) {
            return bad(format!("`{name}` cannot be searched for here"));
        }
        let list = |name| query.all(name).flat_map(|value| value.split(',')).filter(|value| !value.is_empty());
        if let Some(app) = list("apps").find(|app| !GGUF_APPS.contains(app)) {
            return bad(format!("nothing is known here about the app `{app}`"));
        }
        let lower = |text: &str| text.to_ascii_lowercase();
        let datasets = list("datasets").map(|id| format!("dataset:{}", lower(id)));
        let tags = ["filter", "pipeline_tag", "library", "sdk", "tags"].into_iter().flat_map(list).map(lower);
        Ok(Self {
            words: query.all("search").flat_map(str::split_whitespace).map(lower).collect(),
            author: query.one("author").filter(|author| !author.is_empty()).map(lower),
            tags: tags.chain(datasets).collect(),
            has_gguf: list("apps").next().is_some(),
            // Nothing here is gated, and nobody serves inference.
            is_empty: query.flag("gated")
                || ["inference", "inference_provider"].iter().any(|name| list(name).next().is_some()),
        })
    }

    /// Reports whether a repository with this id, in lower case, is looked for.
    pub(super) fn fits(&self, id: &str, manifest: &Manifest) -> bool {
        let author = || id.split_once('/').map(|(author, _)| author);
        let is_gguf = || manifest.files().iter().any(|file| file.path.as_str().ends_with(".gguf"));
        !self.is_empty
            && self.words.iter().all(|word| id.contains(word.as_str()))
            && (self.author.is_none() || self.author.as_deref() == author())
            && self.tags.iter().all(|tag| has_tag(manifest.card(), tag))
            && (!self.has_gguf || is_gguf())
    }
}

/// Reports whether a card has a tag, in any of the forms that clients give it.
fn has_tag(card: &Card, tag: &str) -> bool {
    let is = |value: &String, tag: &str| value.eq_ignore_ascii_case(tag);
    let one = |value: &Option<String>, tag: &str| value.as_ref().is_some_and(|value| is(value, tag));
    let any = |values: &[String], tag: &str| values.iter().any(|value| is(value, tag));
    let prefixed = match tag.split_once(':') {
        Some(("license", tag)) => any(&card.license, tag),
        Some(("dataset", tag)) => any(&card.datasets, tag),
        Some(("base_model", tag)) => any(&card.base_model, tag),
        Some(("language", tag)) => any(&card.language, tag),
        Some(("task_categories", tag)) => any(&card.task_categories, tag),
        Some(("size_categories", tag)) => any(&card.size_categories, tag),
        Some(("library", tag)) => one(&card.library_name, tag),
        _ => false,
    };
    prefixed
        || one(&card.library_name, tag)
        || one(&card.pipeline_tag, tag)
        || one(&card.sdk, tag)
        || any(&card.tags, tag)
        || any(&card.language, tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Filter {
        Filter::read(&Query::parse(text.as_bytes())).unwrap()
    }

    #[test]
    fn a_tag_has_many_forms() {
        let text = |text: &str| text.to_owned();
        let card = Card {
            license: vec![text("MIT")],
            tags: vec![text("tiny"), text("arxiv:1234.5678")],
            pipeline_tag: Some(text("fill-mask")),
            library_name: Some(text("transformers")),
            task_categories: vec![text("other")],
            size_categories: vec![text("n<1K")],
            sdk: Some(text("gradio")),
            language: vec![text("en")],
            base_model: vec![text("Org/Base")],
            datasets: vec![text("squad")],
        };
        for tag in [
            "license:mit",
            "tiny",
            "arxiv:1234.5678",
            "fill-mask",
            "transformers",
            "library:transformers",
            "en",
            "language:en",
            "base_model:org/base",
            "dataset:squad",
            "task_categories:other",
            "size_categories:n<1k",
            "gradio",
        ] {
            assert!(has_tag(&card, tag), "{tag}");
        }
        for tag in ["mit", "license:apache-2.0", "tin", "squad", "language:mit", "", "license:"] {
            assert!(!has_tag(&card, tag), "{tag}");
        }
    }

    #[test]
    fn lists_may_be_repeated_or_have_commas() {
        let filter = read("search=Bert+base&search=x&filter=a,B&filter[]=c&pipeline_tag=t&author=Org&datasets=d");
        assert_eq!(filter.words, ["bert", "base", "x"]);
        assert_eq!(filter.tags, ["a", "b", "c", "t", "dataset:d"]);
        assert_eq!(filter.author.as_deref(), Some("org"));
        assert_eq!(read("search=&author=&filter=&gated=False&inference="), Filter::default());
    }

    #[test]
    fn what_cannot_be_told_is_refused_and_what_does_not_exist_is_not_found() {
        for text in ["num_parameters=min:6B", "models=org/x", "apps=vllm", "apps=ollama,vllm"] {
            assert!(Filter::read(&Query::parse(text.as_bytes())).is_err(), "{text}");
        }
        assert!(read("apps=ollama").has_gguf);
        for text in ["gated=true", "inference=warm", "inference_provider=all"] {
            assert!(read(text).is_empty, "{text}");
        }
    }
}
