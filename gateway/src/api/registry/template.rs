//! Chat templates that are well known. Pure.
//!
//! A model brings its template in Jinja, Ollama takes Go's. There is no translating one into the other in general, but
//! most models have one of a few, which their marks tell. Only the conversation is covered: a model that calls tools
//! needs a file `template` in its repository. Of others the layer is left out.

/// A template and what goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// What all marks of it are.
    marks: &'static [&'static str],
    /// In Go's language.
    pub(super) template: &'static str,
    /// Where an answer ends, as JSON.
    pub(super) params: &'static str,
}

const KNOWN: [Known; 4] = [
    Known {
        marks: &["<|im_start|>", "<|im_end|>"],
        template: "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n",
        params: r#"{"stop":["<|im_start|>","<|im_end|>"]}"#,
    },
    Known {
        marks: &["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        template: "{{- range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>\n\n{{ .Content }}<|eot_id|>{{ end }}<|start_header_id|>assistant<|end_header_id|>\n\n",
        params: r#"{"stop":["<|start_header_id|>","<|end_header_id|>","<|eot_id|>"]}"#,
    },
    Known {
        marks: &["<start_of_turn>", "<end_of_turn>"],
        template: "{{- $system := .System }}{{- range $at, $message := .Messages }}{{- if eq .Role \"user\" }}<start_of_turn>user\n{{ if $system }}{{ $system }}\n\n{{ $system = \"\" }}{{ end }}{{ .Content }}<end_of_turn>\n{{ else if eq .Role \"assistant\" }}<start_of_turn>model\n{{ .Content }}<end_of_turn>\n{{ end }}{{- end }}<start_of_turn>model\n",
        params: r#"{"stop":["<start_of_turn>","<end_of_turn>"]}"#,
    },
    Known {
        marks: &["<|user|>", "<|assistant|>", "<|end|>"],
        template: "{{- range .Messages }}<|{{ .Role }}|>\n{{ .Content }}<|end|>\n{{ end }}<|assistant|>\n",
        params: r#"{"stop":["<|user|>","<|assistant|>","<|system|>","<|end|>"]}"#,
    },
];

/// Returns the well-known template that a model's own one is.
pub(super) fn known(chat_template: &str) -> Option<Known> {
    let has_all = |known: &Known| known.marks.iter().all(|mark| chat_template.contains(mark));
    // One with the marks of two is neither.
    let mut found = KNOWN.into_iter().filter(has_all);
    found.next().filter(|_| found.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_told_by_all_of_its_marks() {
        let chat = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";
        assert!(known(chat).unwrap().template.contains("<|im_start|>assistant"));
        for unknown in
            ["", "[INST] {{ x }} [/INST]", "<|im_start|>", "<|im_start|><|im_end|><start_of_turn><end_of_turn>"]
        {
            assert_eq!(known(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn what_goes_with_a_template_is_json_and_its_braces_match() {
        for known in KNOWN {
            assert!(serde_json::from_str::<serde_json::Value>(known.params).unwrap()["stop"].is_array());
            assert_eq!(known.template.matches("{{").count(), known.template.matches("}}").count());
            let count = |word: &str| known.template.matches(word).count();
            assert_eq!(count("range ") + count("if ") - count("else if "), count("end }}"), "{}", known.template);
        }
    }
}
