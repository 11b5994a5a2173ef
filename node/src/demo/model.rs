//! A small but whole GPT-2 with random weights: what `transformers` loads, in a quarter of a megabyte.
//!
//! Format: <https://huggingface.co/docs/safetensors> (8 bytes of header length, JSON header, tensors).

use std::{fs, io, path::Path};

use serde_json::{Map, json};

const WIDTH: usize = 48;
const WORDS: usize = 512;
const PLACES: usize = 64;
const LAYERS: usize = 2;

const CARD: &str = "\
---
license: mit
language: en
library_name: transformers
pipeline_tag: text-generation
tags:
- demo
- safetensors
---

# tiny-gpt2

A GPT-2 with two layers and random weights, made by `huddle up --demo` a moment ago. It knows nothing, but it is whole:
`AutoModelForCausalLM.from_pretrained` loads it.
";

/// Writes the model's repository to a folder.
pub(super) fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("README.md"), CARD)?;
    let config = json!({
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": WORDS, "n_positions": PLACES,
        "n_embd": WIDTH, "n_layer": LAYERS, "n_head": 4, "bos_token_id": 0, "eos_token_id": 0, "dtype": "float32",
    });
    fs::write(folder.join("config.json"), format!("{config:#}\n"))?;
    fs::write(folder.join("model.safetensors"), safetensors())
}

fn tensors() -> Vec<(String, Vec<usize>)> {
    let norm = |name: String| [(format!("{name}.weight"), vec![WIDTH]), (format!("{name}.bias"), vec![WIDTH])];
    let linear =
        |name: String, from, to| [(format!("{name}.weight"), vec![from, to]), (format!("{name}.bias"), vec![to])];
    let mut tensors =
        vec![("wte.weight".to_owned(), vec![WORDS, WIDTH]), ("wpe.weight".to_owned(), vec![PLACES, WIDTH])];
    for layer in 0..LAYERS {
        let name = |part: &str| format!("h.{layer}.{part}");
        tensors.extend(norm(name("ln_1")));
        tensors.extend(linear(name("attn.c_attn"), WIDTH, 3 * WIDTH));
        tensors.extend(linear(name("attn.c_proj"), WIDTH, WIDTH));
        tensors.extend(norm(name("ln_2")));
        tensors.extend(linear(name("mlp.c_fc"), WIDTH, 4 * WIDTH));
        tensors.extend(linear(name("mlp.c_proj"), 4 * WIDTH, WIDTH));
    }
    tensors.extend(norm("ln_f".to_owned()));
    tensors
}

fn safetensors() -> Vec<u8> {
    let mut header = Map::from_iter([("__metadata__".to_owned(), json!({ "format": "pt" }))]);
    let mut data = Vec::new();
    for (name, shape) in tensors() {
        let start = data.len();
        for _ in 0..shape.iter().product() {
            let weight = (rand::random::<f32>() - 0.5) * 0.04;
            data.extend_from_slice(&weight.to_le_bytes());
        }
        let entry = json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] });
        header.insert(name, entry);
    }
    let mut header = serde_json::Value::from(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' '); // tensors start aligned
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_describes_every_byte_of_the_data() {
        let file = safetensors();
        let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        let header: Map<_, _> = serde_json::from_slice(&file[8..8 + length]).unwrap();
        let ends = header.values().filter_map(|entry| entry["data_offsets"][1].as_u64());
        assert_eq!(ends.max().unwrap() as usize, file.len() - 8 - length);
        assert_eq!(header.len(), 1 + tensors().len());
    }
}
